//! The text form that Prometheus reads (version 0.0.4): families of samples, each family in one
//! piece with its help and type.

use std::fmt::{Display, Write};

use super::histogram::Histogram;

/// A page of series.
#[derive(Default)]
pub(super) struct Page(String);

/// One family of a page.
pub(super) struct Family<'a> {
    page: &'a mut String,
    name: &'static str,
}

/// Labels, each with its value.
pub(super) type Labels<'a> = &'a [(&'static str, &'a str)];

impl Page {
    pub(super) fn counter(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, "counter", help)
    }

    pub(super) fn gauge(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, "gauge", help)
    }

    pub(super) fn histogram(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, "histogram", help)
    }

    fn family(&mut self, name: &'static str, kind: &str, help: &str) -> Family<'_> {
        // Writing into a string cannot fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
        Family { page: &mut self.0, name }
    }

    pub(super) fn into_text(self) -> String {
        self.0
    }
}

impl Family<'_> {
    /// Adds a sample of a counter or a gauge.
    pub(super) fn sample(&mut self, labels: Labels<'_>, value: impl Display) -> &mut Self {
        self.line("", labels, None, &value)
    }

    /// Adds the samples of a histogram.
    pub(super) fn samples(&mut self, labels: Labels<'_>, histogram: &Histogram) -> &mut Self {
        let read = histogram.read();
        for (bound, below) in &read.buckets {
            self.line("_bucket", labels, Some(&bound.to_string()), below);
        }
        self.line("_bucket", labels, Some("+Inf"), &read.count);
        self.line("_sum", labels, None, &read.sum);
        self.line("_count", labels, None, &read.count)
    }

    fn line(
        &mut self,
        suffix: &str,
        labels: Labels<'_>,
        bound: Option<&str>,
        value: &dyn Display,
    ) -> &mut Self {
        self.page.push_str(self.name);
        self.page.push_str(suffix);
        let all = labels.iter().copied().chain(bound.map(|bound| ("le", bound)));
        let mut opener = '{';
        for (label, text) in all {
            let _ = write!(self.page, "{opener}{label}=\"");
            escape(self.page, text);
            self.page.push('"');
            opener = ',';
        }
        if opener == ',' {
            self.page.push('}');
        }
        let _ = writeln!(self.page, " {value}");
        self
    }
}

fn escape(to: &mut String, text: &str) {
    for character in text.chars() {
        match character {
            '\\' => to.push_str("\\\\"),
            '"' => to.push_str("\\\""),
            '\n' => to.push_str("\\n"),
            other => to.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_page_reads_as_it_should() {
        let mut page = Page::default();
        page.gauge("a", "Of what.").sample(&[("x", "a\"\\\nb"), ("y", "")], 1).sample(&[], "+Inf");
        let histogram = Histogram::new(&[0.005, 60.0]);
        histogram.record(Duration::from_millis(7));
        histogram.record(Duration::from_secs(90));
        page.histogram("b_seconds", "How long.").samples(&[("z", "1")], &histogram);
        let expect = "# HELP a Of what.\n# TYPE a gauge\na{x=\"a\\\"\\\\\\nb\",y=\"\"} 1\na +Inf\n\
            # HELP b_seconds How long.\n# TYPE b_seconds histogram\n\
            b_seconds_bucket{z=\"1\",le=\"0.005\"} 0\nb_seconds_bucket{z=\"1\",le=\"60\"} 1\n\
            b_seconds_bucket{z=\"1\",le=\"+Inf\"} 2\nb_seconds_sum{z=\"1\"} 90.007\n\
            b_seconds_count{z=\"1\"} 2\n";
        assert_eq!(page.into_text(), expect);
    }
}
