//! The arguments of the benches that print a table.

use anyhow::{Result, bail};

/// What is to be measured, and how often.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// Small sizes and one round: shows that everything works, and measures nothing.
    pub(crate) quick: bool,
    /// How many rounds are counted, after those for warming up.
    pub(crate) rounds: Option<usize>,
    /// Only rows whose name holds one of these; all where there are none.
    pub(crate) names: Vec<String>,
    /// Other libraries are measured too, where the bench knows some.
    #[allow(dead_code, reason = "one bench does")]
    pub(crate) peers: bool,
    /// The command that repeats this.
    pub(crate) command: String,
}

impl Options {
    /// Reads the arguments, and `JOBWRIGHT_BENCH_QUICK=1` for `--quick`.
    pub(crate) fn read(bench: &str) -> Result<Self> {
        let quick = std::env::var_os("JOBWRIGHT_BENCH_QUICK").is_some_and(|value| value == "1");
        let given: Vec<_> = std::env::args().skip(1).filter(|it| it != "--bench").collect();
        let mut command = format!("cargo bench --bench {bench}");
        if !given.is_empty() {
            command = format!("{command} -- {}", given.join(" "));
        }
        let (rounds, names, peers) = (None, Vec::new(), false);
        let mut options = Self { quick, rounds, names, peers, command };
        let mut given = given.into_iter();
        while let Some(argument) = given.next() {
            match &*argument {
                "--quick" => options.quick = true,
                "--peers" => options.peers = true,
                "--rounds" => match given.next().map(|text| text.parse()) {
                    Some(Ok(rounds)) if rounds > 0 => options.rounds = Some(rounds),
                    Some(_) | None => bail!("`--rounds` takes a number above 0"),
                },
                option if option.starts_with('-') => {
                    bail!(
                        "no option `{option}`: `--quick`, `--peers`, `--rounds N`, or words of row names"
                    )
                }
                _ => options.names.push(argument),
            }
        }
        Ok(options)
    }

    /// Tells whether a row is wanted.
    pub(crate) fn wants(&self, name: &str) -> bool {
        self.names.is_empty() || self.names.iter().any(|word| name.contains(word))
    }
}
