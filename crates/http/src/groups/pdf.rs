//! Profiles as a PDF: what the JSON says, line by line, on pages of A4.

use std::sync::Arc;

use jobwright_core::{GroupId, JobId};
use pdf_writer::{Content, Finish, Name, Pdf, Rect, Ref, Str};
use serde_json::Value;

/// A4, its margin, a line's height and the size of the letters, in points.
const WIDTH: f32 = 595.0;
const HEIGHT: f32 = 842.0;
const MARGIN: f32 = 54.0;
const LINE: f32 = 11.5;
const LETTER: f32 = 9.0;

/// How many letters of a font of equal widths fit into a line, and how many lines on a page.
const COLUMNS: usize = 90;
const LINES: usize = 63;

/// How many lines are drawn; what is longer is read as JSON.
const MOST: usize = 20_000;

const FONT: Name<'_> = Name(b"F1");

/// Draws the profiles of a job group.
pub(super) fn drawn(group: GroupId, profiles: &[(JobId, Arc<Value>)]) -> Vec<u8> {
    let mut lines = vec![format!("Profile of job group {group}"), String::new()];
    for (job, profile) in profiles {
        lines.push(format!("Job {job}"));
        let text = serde_json::to_string_pretty(&**profile).unwrap_or_default();
        lines.extend(text.lines().flat_map(wrapped));
        lines.push(String::new());
    }
    if lines.len() > MOST {
        let more = lines.len() - MOST;
        lines.truncate(MOST);
        lines.push(format!("{more} more lines: read them from profileResults"));
    }
    pages(&lines)
}

/// A line in parts that fit.
fn wrapped(line: &str) -> Vec<String> {
    let letters: Vec<char> = line.chars().collect();
    letters.chunks(COLUMNS).map(|part| part.iter().collect()).collect()
}

fn pages(lines: &[String]) -> Vec<u8> {
    let (mut pdf, mut next) = (Pdf::new(), 0);
    let mut id = || {
        next += 1;
        Ref::new(next)
    };
    let (catalog, tree, font) = (id(), id(), id());
    let pages: Vec<_> = lines.chunks(LINES).map(|lines| (id(), id(), lines)).collect();
    pdf.catalog(catalog).pages(tree);
    let count = i32::try_from(pages.len()).unwrap_or(i32::MAX);
    pdf.pages(tree).kids(pages.iter().map(|(page, ..)| *page)).count(count);
    pdf.type1_font(font).base_font(Name(b"Courier")).encoding_predefined(Name(b"WinAnsiEncoding"));
    for (at, content, lines) in pages {
        let mut page = pdf.page(at);
        page.media_box(Rect::new(0.0, 0.0, WIDTH, HEIGHT)).parent(tree).contents(content);
        page.resources().fonts().pair(FONT, font);
        page.finish();
        let mut text = Content::new();
        text.begin_text();
        text.set_font(FONT, LETTER);
        text.next_line(MARGIN, HEIGHT - MARGIN);
        for line in lines {
            text.show(Str(&letters(line)));
            text.next_line(0.0, -LINE);
        }
        text.end_text();
        pdf.stream(content, &text.finish());
    }
    pdf.finish()
}

/// The bytes of a text in the font's encoding; what it does not have is a question mark.
fn letters(line: &str) -> Vec<u8> {
    let letter = |c: char| match c {
        ' '..='~' | '\u{a0}'..='\u{ff}' => u8::try_from(u32::from(c)).unwrap_or(b'?'),
        _ => b'?',
    };
    line.chars().map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_profile_takes_pages_and_a_longer_one_is_cut() {
        let check = |rows: usize, expect: usize| {
            let profile = Arc::new(Value::from(vec![7; rows]));
            let (group, job) = (GroupId::new(3).unwrap(), JobId::new(9).unwrap());
            let bytes = drawn(group, &[(job, profile)]);
            assert!(bytes.starts_with(b"%PDF-1.7\n") && bytes.ends_with(b"%%EOF"), "{rows}");
            let text = String::from_utf8_lossy(&bytes);
            assert_eq!(text.matches("/Type /Page\n").count(), expect, "{rows}");
            assert!(text.contains("(Profile of job group 3) Tj"), "{rows}");
        };
        check(1, 1);
        check(100, 2);
        check(30_000, 318);
        assert_eq!(letters("a→é(b)"), b"a?\xe9(b)");
        assert_eq!(
            wrapped(&"x".repeat(200)).iter().map(String::len).collect::<Vec<_>>(),
            [90, 90, 20]
        );
    }
}
