// SPDX-License-Identifier: GPL-3.0-or-later
//! Help in DISM's layout, made from the table.
//!
//! Layout: names two blanks in, padded to column 26, `- `, text wrapped at 80 with a hanging
//! indent of 28; a name too long for its column is followed by ` - ` directly.

use super::table::{self, Argument, Command, GLOBALS, Kind, Native, Occurs, Scope, support};
use crate::image::WindowsInfo;
use crate::report::{Page, Style, banner, image_version};

const TEXT_COLUMN: usize = 28;
const RIGHT_MARGIN: usize = 80;

/// `dism /?`.
pub(crate) fn overview() -> String {
    let mut page = opened();
    page.line("DISM.exe [dism_options] {Imaging_command} [<Imaging_arguments>]");
    page.line("DISM.exe /Image:<path_to_wim> /Index:<n> [dism_options]");
    page.line("         {servicing_command} [<servicing_arguments>]");
    page.blank();
    page.line("DESCRIPTION:");
    page.blank();
    page.line("  This is transom, speaking DISM's language. It services Windows images offline,");
    page.line("  without a mount. Commands joined by --then share one session and one commit.");
    page.blank();
    page.blank();
    commands(&mut page, "IMAGING COMMANDS:", Scope::Imaging);
    commands(&mut page, "SERVICING COMMANDS:", Scope::Servicing);
    page.line("DISM OPTIONS:");
    page.blank();
    for argument in GLOBALS {
        entry(&mut page, &format!("/{}", argument.dism_name()), argument.help);
    }
    page.blank();
    let planned = table::commands().filter(|command| !command.is_built()).count();
    page.line(format_args!("{planned} more commands of DISM are known but not built yet."));
    page.blank();
    page.line("For more information about a command or an option, write /? behind it (or");
    page.line("/Help, where the shell takes /? for a pattern).");
    page.blank();
    page.line("  Examples:");
    // Longer ones stand in the help of their command.
    let fits = |example: &str| !example.is_empty() && example.len() + "    DISM.exe ".len() <= RIGHT_MARGIN;
    for command in table::commands().filter(|command| fits(command.dism_example)) {
        page.line(format_args!("    DISM.exe {}", command.dism_example));
    }
    closed(page)
}

/// `dism /Image /?`.
pub(crate) fn servicing() -> String {
    let mut page = opened();
    commands(&mut page, "SERVICING COMMANDS:", Scope::Servicing);
    page.line("Write /? behind a command for its arguments and an example; write /? behind");
    page.line("/Image:<path_to_wim> /Index:<n> for the commands that this image supports.");
    closed(page)
}

/// `dism /Image:x /?`: what an image of this Windows supports, by what it holds.
pub(crate) fn image(windows: &WindowsInfo) -> String {
    let mut page = opened();
    image_version(&mut page, windows.version);
    let mut planned = Vec::new();
    for (heading, rows) in table::servicing_areas() {
        let supported = |row: &&Command| row.dism.first().is_some_and(|name| support(name).has(windows));
        let (built, other): (Vec<&Command>, Vec<&Command>) =
            rows.iter().filter(supported).partition(|row| row.is_built());
        planned.extend(other.iter().map(|row| format!("/{}", row.name())));
        if built.is_empty() {
            continue;
        }
        page.line(heading);
        page.blank();
        for row in built {
            entry(&mut page, &format!("/{}", row.name()), row.summary);
        }
        page.blank();
    }
    if !planned.is_empty() {
        page.line("This image would support these too, but transom does not do them yet:");
        page.blank();
        for line in wrapped(&planned.join(", "), RIGHT_MARGIN - 2) {
            page.line(format_args!("  {line}"));
        }
        page.blank();
    }
    page.line("Write /? behind a command for its arguments and an example.");
    closed(page)
}

/// `dism /Command /?`.
pub(crate) fn command(command: &'static Command) -> String {
    let mut page = opened();
    let target = match command.scope {
        Scope::Servicing => "/Image:<path_to_wim> /Index:<n> ",
        Scope::Imaging | Scope::Tool => "",
    };
    page.line(format_args!("DISM.exe {target}/{}{}", command.name(), usage(command)));
    if let [_, aliases @ ..] = command.dism
        && !aliases.is_empty()
    {
        let aliases: Vec<String> = aliases.iter().map(|alias| format!("/{alias}")).collect();
        page.line(format_args!("Also called: {}", aliases.join(", ")));
    }
    page.blank();
    let known = command.dism.first().and_then(|name| support(name).sentence());
    for line in [Some(command.summary.to_owned()), known].into_iter().flatten() {
        for line in wrapped(&line, RIGHT_MARGIN - 2) {
            page.line(format_args!("  {line}"));
        }
    }
    if !command.is_built() {
        page.line("  This command of DISM is known, but transom does not do it yet.");
    }
    let arguments: Vec<&Argument> = command
        .arguments
        .iter()
        .filter(|argument| !argument.dism.is_empty() || is_own_value(command, argument))
        .collect();
    if !arguments.is_empty() {
        page.blank();
        for argument in arguments {
            let name = match is_own_value(command, argument) {
                true => format!("<{}>", argument.value_name),
                false => format!("/{}", argument.dism_name()),
            };
            entry(&mut page, &name, &described(argument));
        }
    }
    if !command.is_built() {
        return closed(page);
    }
    page.blank();
    page.line("  Example:");
    page.line(format_args!("    DISM.exe {}", command.dism_example));
    closed(page)
}

/// `dism /Option /?`.
pub(crate) fn argument(argument: &'static Argument) -> String {
    let mut page = opened();
    page.line(spelled(argument));
    page.blank();
    for line in wrapped(&described(argument), RIGHT_MARGIN - 2) {
        page.line(format_args!("  {line}"));
    }
    closed(page)
}

fn opened() -> Page {
    let mut page = Page::new(Style::english(jiff::tz::TimeZone::UTC, None));
    banner(&mut page);
    page.blank();
    page
}

fn closed(mut page: Page) -> String {
    page.blank();
    page.blank();
    page.blank();
    page.into_text()
}

fn commands(page: &mut Page, heading: &str, scope: Scope) {
    page.line(heading);
    page.blank();
    for command in table::commands() {
        if command.is_built() && command.scope == scope && !command.dism.is_empty() {
            entry(page, &format!("/{}", command.name()), command.summary);
        }
    }
    page.blank();
}

fn usage(command: &'static Command) -> String {
    command
        .arguments
        .iter()
        .filter(|argument| !argument.dism.is_empty() || is_own_value(command, argument))
        .map(|argument| match argument.occurs {
            _ if is_own_value(command, argument) => format!(":<{}>", argument.value_name),
            Occurs::Any => format!(" [{} ...]", spelled(argument)),
            Occurs::Optional => format!(" [{}]", spelled(argument)),
            Occurs::Required => format!(" {}", spelled(argument)),
            Occurs::Repeated => format!(" {0} [{0} ...]", spelled(argument)),
        })
        .collect()
}

/// Whether the argument is the value behind the command's own name.
fn is_own_value(command: &Command, argument: &Argument) -> bool {
    argument.dism.is_empty() && command.shorthand == Some(argument.id)
}

fn spelled(argument: &Argument) -> String {
    // `FILE[:INDEX]` is our own notation; DISM's language has an option for the index.
    let value = argument.value_name.split('[').next().unwrap_or_default();
    match argument.kind {
        Kind::Flag | Kind::Switch => format!("/{}", argument.dism_name()),
        _ => format!("/{}:<{value}>", argument.dism_name()),
    }
}

fn described(argument: &Argument) -> String {
    let native = match argument.native {
        Native::Option(word) => format!(" (--{word})"),
        Native::Position | Native::Rest => String::new(),
    };
    match argument.kind {
        Kind::Choice(words) => format!("{} One of: {}.{native}", argument.help, words.join(", ")),
        _ => format!("{}{native}", argument.help),
    }
}

fn entry(page: &mut Page, name: &str, text: &str) {
    let lead = format!("  {name:width$}- ", width = TEXT_COLUMN - 4);
    let lead = if lead.len() > TEXT_COLUMN { format!("  {name} - ") } else { lead };
    let first_width = RIGHT_MARGIN.saturating_sub(lead.len().max(TEXT_COLUMN));
    let mut lines = wrapped(text, first_width.min(RIGHT_MARGIN - TEXT_COLUMN)).into_iter();
    page.line(format_args!("{lead}{}", lines.next().unwrap_or_default()));
    for line in lines {
        page.line(format_args!("{:TEXT_COLUMN$}{line}", ""));
    }
}

fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.len() + 1 + word.len() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_as_in_the_captured_help() {
        let mut page = Page::new(Style::english(jiff::tz::TimeZone::UTC, None));
        entry(&mut page, "/Apply-CustomDataImage", "Dehydrates files contained in the custom data image.");
        entry(&mut page, "/List-Image", "Displays a list of the files and folders in a specified image.");
        entry(&mut page, "/Optimize-ProvisionedAppxPackages", "Links equal files.");
        assert_eq!(
            page.into_text(),
            "  /Apply-CustomDataImage  - Dehydrates files contained in the custom data image.\n\
             \x20 /List-Image             - Displays a list of the files and folders in a\n\
             \x20                           specified image.\n\
             \x20 /Optimize-ProvisionedAppxPackages - Links equal files.\n"
        );
    }

    #[test]
    fn every_topic_fits_the_width_and_names_an_example() {
        for row in table::commands().filter(|row| !row.dism.is_empty()) {
            let text = command(row);
            assert!(text.contains(row.summary.split(' ').next().unwrap()));
            assert_eq!(text.contains("Example:"), row.is_built());
        }
        let overview = overview();
        for line in overview.lines() {
            assert!(line.len() <= RIGHT_MARGIN, "{line}");
        }
        assert!(overview.starts_with("\nDeployment Image Servicing and Management tool\nVersion: "));
        assert!(overview.contains("\n\n\nDISM.exe [dism_options]") && overview.ends_with("\n\n\n\n"));
        for argument in GLOBALS {
            assert!(super::argument(argument).contains(argument.dism_name()));
        }
    }
}
