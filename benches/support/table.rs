//! The table of what was measured: medians with their range, beside the floor of the same round.

use std::fmt;
use std::time::Duration;

/// One measurement of a row, and of its floor just before it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    /// How many jobs ran.
    pub(crate) jobs: usize,
    /// How long it took to resolve and expand them.
    pub(crate) prepare: Duration,
    /// From the call that starts the run to the return of the one that waits for its end.
    pub(crate) run: Duration,
    /// How many of the floor's units were done.
    pub(crate) units: usize,
    /// How long those took.
    pub(crate) floor: Duration,
    /// How long they took as tasks of which only so many live at a time as the engine lets live.
    pub(crate) limited: Option<Duration>,
    /// How many turns the subscriber was too slow for.
    pub(crate) missed: u64,
}

/// What one row measures, and what it is held to.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    /// What the floor counts.
    pub(crate) unit: &'static str,
    /// The least ratio of jobs per second to the floor's units per second.
    pub(crate) target: Option<f64>,
    pub(crate) samples: Vec<Sample>,
}

/// A median with its range.
#[derive(Debug, Clone, Copy)]
struct Spread {
    median: f64,
    least: f64,
    most: f64,
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3} ({:.3} – {:.3})", self.median, self.least, self.most)
    }
}

impl Sample {
    fn rate(&self) -> f64 {
        self.jobs as f64 / self.run.as_secs_f64()
    }

    fn floor_rate(&self) -> f64 {
        self.units as f64 / self.floor.as_secs_f64()
    }

    /// The ratio to the floor that has the engine's limit; to the floor itself where there is none.
    fn limited_ratio(&self) -> f64 {
        let floor = self.limited.unwrap_or(self.floor);
        self.rate() * floor.as_secs_f64() / self.units as f64
    }

    fn prepare_per_job(&self) -> f64 {
        self.prepare.as_nanos() as f64 / self.jobs as f64
    }
}

impl Row {
    /// The most turns that the subscriber missed in a sample.
    pub(crate) fn missed(&self) -> u64 {
        self.samples.iter().map(|sample| sample.missed).max().unwrap_or(0)
    }

    fn spread(&self, value: impl Fn(&Sample) -> f64) -> Spread {
        let mut values: Vec<_> = self.samples.iter().map(value).collect();
        values.sort_by(f64::total_cmp);
        let at = |at: usize| values.get(at).copied().unwrap_or(f64::NAN);
        let last = values.len().saturating_sub(1);
        let median = f64::midpoint(at(last / 2), at(values.len() / 2));
        Spread { median, least: at(0), most: at(last) }
    }

    fn cells(&self) -> [String; 9] {
        let rate = self.spread(Sample::rate);
        let floor = self.spread(Sample::floor_rate);
        let ratio = self.spread(|sample| sample.rate() / sample.floor_rate());
        let prepare = self.spread(Sample::prepare_per_job).median;
        let limited = self.spread(Sample::limited_ratio);
        let has_limit = self.samples.iter().any(|sample| sample.limited.is_some());
        let verdict = self.target.map(|target| {
            let word = |ratio: Spread| if ratio.median >= target { "ok" } else { "below" };
            match has_limit {
                true => format!("≥ {target} {}, limited {}", word(ratio), word(limited)),
                false => format!("≥ {target} {}", word(ratio)),
            }
        });
        let jobs = self.samples.first().map_or(0, |sample| sample.jobs);
        [
            self.name.to_owned(),
            jobs.to_string(),
            if prepare > 0.0 { format!("{prepare:.0} ns") } else { "–".to_owned() },
            Count(rate.median).to_string(),
            format!("{} – {}", Count(rate.least), Count(rate.most)),
            format!("{} {}/s", Count(floor.median), self.unit),
            ratio.to_string(),
            if has_limit { limited.to_string() } else { "–".to_owned() },
            verdict.unwrap_or_else(|| "–".to_owned()),
        ]
    }
}

/// A rate with three digits and its power of a thousand.
struct Count(f64);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (value, unit) = match self.0 {
            rate if rate >= 1e6 => (rate / 1e6, " M"),
            rate if rate >= 1e3 => (rate / 1e3, " k"),
            rate => (rate, ""),
        };
        let digits = if value >= 100.0 { 0 } else { 2 - usize::from(value >= 10.0) };
        write!(f, "{value:.digits$}{unit}")
    }
}

/// Writes the rows as a Markdown table whose columns line up.
pub(crate) fn markdown(rows: &[Row]) -> String {
    let head = [
        "measured",
        "jobs",
        "prepare/job",
        "jobs/s",
        "range",
        "floor",
        "ratio to the floor (range)",
        "to the limited floor (range)",
        "target",
    ];
    let mut lines = vec![head.map(str::to_owned)];
    lines.extend(rows.iter().map(Row::cells));
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max();
    let widths: Vec<_> = (0..head.len()).filter_map(width).collect();
    let rule = widths.iter().map(|width| format!("{:-<width$}", "")).collect::<Vec<_>>();
    let mut text = String::new();
    for (at, line) in lines.iter().enumerate() {
        let cells = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        text.push_str(&format!("| {} |\n", cells.collect::<Vec<_>>().join(" | ")));
        if at == 0 {
            text.push_str(&format!("| {} |\n", rule.join(" | ")));
        }
    }
    text
}
