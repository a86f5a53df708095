//! What a person or a program gets to see. Data goes to standard output, everything else to
//! standard error; colour comes and goes with the terminal, words never do.

mod board;
mod columns;
mod diff;
mod package;
mod text;
mod time;

use std::io::{IsTerminal as _, Write as _};

use comfy_table::presets::NOTHING;
use comfy_table::{Cell, Color, ColumnConstraint, ContentArrangement, Table};
use serde_json::{Value, json};

use crate::args::Format;
use crate::exit::Failure;

pub(crate) use board::Board;
pub(crate) use columns::{
    BACKFILL_RUNS, BACKFILLS, Column, DEPLOYMENTS, ENVIRONMENT, FIRINGS, GROUPS, JOBS, Noun,
    OBJECT_RULES, PARAMETERS, PREVIEW, RELEASES, RUNS, SCHEDULES, TOKENS, VALUE_RULES,
};
pub(crate) use diff::{Change, differences};
pub(crate) use package::Refused;
pub(crate) use text::{line, plain};
pub(crate) use time::Zone;

/// Up to this width a cell is not broken over lines.
const WIDEST: u16 = 26;

/// What is left free between columns.
const GAP: u16 = 2;

/// Where and how data is shown.
pub(crate) struct Output {
    format: Format,
    headers: bool,
    /// How wide tables may be; none where nobody looks.
    width: Option<u16>,
    /// Whether a person reads standard output.
    terminal: bool,
    zone: Zone,
}

impl Output {
    pub(crate) fn new(format: Format, headers: bool) -> Self {
        let terminal = std::io::stdout().is_terminal();
        let columns = std::env::var_os("COLUMNS").and_then(|it| it.to_str()?.parse().ok());
        let screen = || if terminal { Table::new().width() } else { None };
        let zone = if terminal { Zone::local() } else { Zone::Kept };
        Self { format, headers, width: columns.or_else(screen), terminal, zone }
    }

    pub(crate) fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    pub(crate) fn format(&self) -> Format {
        self.format
    }

    pub(crate) fn zone(&self) -> &Zone {
        &self.zone
    }

    /// Shows a list.
    pub(crate) fn list(&self, noun: &Noun, items: &[Value]) -> Result<(), Failure> {
        match self.format {
            Format::Json => self.document(&json!({ "data": items })),
            Format::Id => items.iter().try_for_each(|item| self.line(&noun.id_of(item))),
            Format::Table if items.is_empty() => {
                note(&format!("no {}", noun.many));
                Ok(())
            }
            Format::Table => self.table(noun.columns, items),
        }
    }

    /// Shows one thing: as in a list, but one member per line.
    pub(crate) fn one(&self, noun: &Noun, item: &Value) -> Result<(), Failure> {
        match self.format {
            Format::Json => self.document(item),
            Format::Id => self.line(&noun.id_of(item)),
            Format::Table => self.record(noun.columns, item),
        }
    }

    /// Shows a table whatever it is a list of; one member per line where it is too narrow for one.
    pub(crate) fn table(&self, columns: &[Column], items: &[Value]) -> Result<(), Failure> {
        let mut table = self.empty();
        if self.headers {
            table.set_header(columns.iter().map(|column| column.title));
        }
        for item in items {
            table.add_row(columns.iter().map(|column| self.cell(column, item)));
        }
        let widths = table.column_max_content_widths();
        let gaps = u16::try_from(widths.len()).unwrap_or(u16::MAX).saturating_mul(GAP);
        let least = widths.iter().map(|width| (*width).min(WIDEST)).sum::<u16>() + gaps;
        if self.width.is_some_and(|width| least > width) {
            return items.iter().enumerate().try_for_each(|(at, item)| {
                if at > 0 {
                    self.line("")?;
                }
                self.record(columns, item)
            });
        }
        // What is short stays in one line, what is long shares the rest.
        for (column, width) in table.column_iter_mut().zip(widths) {
            if width <= WIDEST {
                column.set_constraint(ColumnConstraint::ContentWidth);
            }
        }
        self.put(table)
    }

    /// Shows one thing, a member per line.
    fn record(&self, columns: &[Column], item: &Value) -> Result<(), Failure> {
        let mut table = self.empty();
        for column in columns {
            table.add_row([Cell::new(column.title.to_lowercase()), self.cell(column, item)]);
        }
        if let Some(names) = table.column_mut(0) {
            names.set_constraint(ColumnConstraint::ContentWidth);
        }
        self.put(table)
    }

    /// Prints a document as JSON: for people to read on a terminal, in one line elsewhere.
    pub(crate) fn document(&self, value: &Value) -> Result<(), Failure> {
        let text = if self.terminal { format!("{value:#}") } else { value.to_string() };
        self.line(&text)
    }

    /// Prints a line that is shown as it is.
    #[expect(clippy::unused_self, reason = "whoever prints data holds the output")]
    pub(crate) fn line(&self, text: &str) -> Result<(), Failure> {
        Ok(writeln!(anstream::stdout().lock(), "{text}")?)
    }

    fn empty(&self) -> Table {
        let mut table = Table::new();
        table.load_style(NOTHING);
        // Colours are always written; the stream takes them out where they are not wanted.
        table.enforce_styling();
        match self.width {
            Some(width) => {
                table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
            }
            None => {
                table.set_content_arrangement(ContentArrangement::Disabled);
            }
        }
        table
    }

    fn cell(&self, column: &Column, item: &Value) -> Cell {
        let text = line(&column.text(item, &self.zone));
        let cell = Cell::new(&text);
        if !column.is_status() {
            return cell;
        }
        match text.as_str() {
            "Complete" => cell.fg(Color::Green),
            "Failed" => cell.fg(Color::Red),
            "Canceled" => cell.fg(Color::Yellow),
            "InProgress" => cell.fg(Color::Cyan),
            _ => cell,
        }
    }

    fn put(&self, mut table: Table) -> Result<(), Failure> {
        for column in table.column_iter_mut() {
            column.set_padding((0, GAP));
        }
        let has_header = table.header().is_some();
        for (at, line) in table.lines().enumerate() {
            let line = line.trim_end();
            match at {
                0 if has_header => self.line(&format!("\x1b[1m{line}\x1b[0m"))?,
                _ => self.line(line)?,
            }
        }
        Ok(())
    }
}

/// Tells a person something that is no data.
pub(crate) fn note(text: &str) {
    // Where standard error is closed there is nobody to tell.
    let _ = writeln!(anstream::stderr().lock(), "{text}");
}
