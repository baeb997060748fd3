// SPDX-License-Identifier: GPL-3.0-or-later
//! A page of text, and how numbers and dates stand on it.

use std::fmt::{Display, Write as _};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::Locale;
use crate::base::FileTime;

/// How reports of several rows are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// A block of `Label : value` lines for each row.
    List,
    /// One line for each row.
    Table,
}

/// How numbers, dates and lists are written.
#[derive(Clone, Debug)]
pub struct Style {
    /// A `strftime` pattern.
    pub short_date: &'static str,
    /// A `strftime` pattern.
    pub long_time: &'static str,
    /// Stands between groups of three digits.
    pub digit_group: char,
    /// Where times are local.
    pub zone: TimeZone,
    /// The language of the fixed lines.
    pub locale: Locale,
    /// The layout asked for; each language has its own default.
    pub layout: Option<Layout>,
}

impl Style {
    /// As a Windows set to English (United States) writes them.
    pub fn english(zone: TimeZone, layout: Option<Layout>) -> Self {
        Self {
            short_date: "%-m/%-d/%Y",
            long_time: "%-I:%M:%S %p",
            digit_group: ',',
            zone,
            locale: Locale::English,
            layout,
        }
    }
}

/// Text that grows line by line.
#[derive(Debug)]
pub struct Page {
    text: String,
    style: Style,
}

impl Page {
    /// An empty page.
    pub fn new(style: Style) -> Self {
        Self { text: String::new(), style }
    }

    /// The style it was made with.
    pub fn style(&self) -> &Style {
        &self.style
    }

    /// Adds a fixed line in the page's language.
    pub(super) fn fixed(&mut self, id: &str, arguments: &[(&'static str, &str)]) {
        let text = self.style.locale.text(id, arguments);
        self.line(text);
    }

    /// All lines so far.
    pub fn into_text(self) -> String {
        self.text
    }

    /// Adds one line.
    pub fn line(&mut self, text: impl Display) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.text, "{text}");
    }

    /// Adds an empty line.
    pub fn blank(&mut self) {
        self.text.push('\n');
    }

    /// Adds `Label : value`; an empty value leaves the blank behind the colon, as DISM does.
    pub fn field(&mut self, label: &str, value: impl Display) {
        self.line(format_args!("{label} : {value}"));
    }

    /// Adds a table in DISM's layout: rules above and below the headers, ` | ` between columns.
    pub fn table(&mut self, headers: &[&str], rows: &[Vec<String>]) {
        let widths = widths(headers, rows);
        let rule: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
        let headers: Vec<String> = headers.iter().map(|header| (*header).to_owned()).collect();
        self.row(&widths, &rule, " | ");
        self.row(&widths, &headers, " | ");
        self.row(&widths, &rule, " | ");
        for row in rows {
            self.row(&widths, row, " | ");
        }
    }

    /// Adds a table in our layout: headers in capitals, two blanks between columns.
    pub fn columns(&mut self, headers: &[&str], rows: &[Vec<String>]) {
        let widths = widths(headers, rows);
        let headers: Vec<String> = headers.iter().map(|header| header.to_uppercase()).collect();
        self.row(&widths, &headers, "  ");
        for row in rows {
            self.row(&widths, row, "  ");
        }
    }

    fn row(&mut self, widths: &[usize], cells: &[String], separator: &str) {
        let mut line = String::new();
        for (column, (cell, width)) in cells.iter().zip(widths).enumerate() {
            if column > 0 {
                line.push_str(separator);
            }
            // The last column is not padded: nobody has seen whether DISM pads it.
            let width = if column + 1 == cells.len() { 0 } else { *width };
            let _ = write!(line, "{cell:width$}");
        }
        self.line(line);
    }

    /// `1,234,567`.
    pub fn number(&self, number: u64) -> String {
        let digits = number.to_string();
        let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
        for (position, digit) in digits.chars().enumerate() {
            if position > 0 && (digits.len() - position).is_multiple_of(3) {
                grouped.push(self.style.digit_group);
            }
            grouped.push(digit);
        }
        grouped
    }

    /// `1 file`, `1,234 files`.
    pub fn counted(&self, number: u64, noun: &str) -> String {
        let plural = if number == 1 { "" } else { "s" };
        format!("{} {noun}{plural}", self.number(number))
    }

    /// A calendar day that belongs to no time zone (the date of a driver); nothing for no day.
    pub fn day(&self, day: FileTime) -> String {
        if day == FileTime(0) { String::new() } else { format(day, self.style.short_date, &TimeZone::UTC) }
    }

    /// `<short date> - <long time>` in local time.
    pub fn moment(&self, time: FileTime) -> String {
        let pattern = format!("{} - {}", self.style.short_date, self.style.long_time);
        format(time, &pattern, &self.style.zone)
    }

    /// A calendar day as ISO 8601 has it; nothing for no day.
    pub fn iso_day(&self, day: FileTime) -> String {
        if day == FileTime(0) { String::new() } else { format(day, "%Y-%m-%d", &TimeZone::UTC) }
    }

    /// A local time as ISO 8601 has it, to the second.
    pub fn iso_moment(&self, time: FileTime) -> String {
        format(time, "%Y-%m-%d %H:%M:%S", &self.style.zone)
    }
}

fn widths(headers: &[&str], rows: &[Vec<String>]) -> Vec<usize> {
    headers
        .iter()
        .enumerate()
        .map(|(column, header)| {
            let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
            cells.chain([header.chars().count()]).max().unwrap_or(0)
        })
        .collect()
}

/// Writes a time by a pattern; one that lies outside the calendar is given in ticks.
pub(super) fn format(time: FileTime, pattern: &str, zone: &TimeZone) -> String {
    let (seconds, nanoseconds) = time.to_unix();
    i32::try_from(nanoseconds)
        .ok()
        .and_then(|nanoseconds| Timestamp::new(seconds, nanoseconds).ok())
        .map(|timestamp| timestamp.to_zoned(zone.clone()).strftime(pattern).to_string())
        .unwrap_or_else(|| format!("{} ticks", time.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page() -> Page {
        Page::new(Style::english(TimeZone::UTC, None))
    }

    #[test]
    fn digits_are_grouped() {
        let page = page();
        let cases = [(0, "0"), (999, "999"), (1000, "1,000"), (18_675_690_173, "18,675,690,173")];
        for (number, expected) in cases {
            assert_eq!(page.number(number), expected);
        }
    }

    #[test]
    fn dates_as_in_the_united_states() {
        let mut style = Style::english(TimeZone::fixed(jiff::tz::offset(2)), None);
        let afternoon = FileTime::from_unix(1_725_599_195, 0);
        assert_eq!(Page::new(style.clone()).moment(afternoon), "9/6/2024 - 7:06:35 AM");
        let midnight = FileTime::from_date(2006, 6, 21).unwrap();
        assert_eq!(Page::new(style.clone()).day(midnight), "6/21/2006");
        style.zone = TimeZone::fixed(jiff::tz::offset(-8));
        assert_eq!(Page::new(style).day(midnight), "6/21/2006");
        assert_eq!(page().iso_day(midnight), "2006-06-21");
        assert_eq!(page().moment(FileTime(u64::MAX)), format!("{} ticks", u64::MAX));
    }

    #[test]
    fn the_last_column_is_not_padded() {
        let mut page = page();
        page.table(&["Name", "State"], &[vec!["Telnet".into(), "On".into()]]);
        assert_eq!(page.into_text(), "------ | -----\nName   | State\n------ | -----\nTelnet | On\n");
    }

    #[test]
    fn an_empty_value_leaves_a_blank() {
        let mut page = page();
        page.field("Install Time", "");
        assert_eq!(page.into_text(), "Install Time : \n");
    }
}
