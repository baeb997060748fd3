// SPDX-License-Identifier: GPL-3.0-or-later
//! The whole command set as Markdown, and DISM's words for shells, both made from the table.

use std::fmt::Write as _;

use clap_complete::Shell;

use super::table::{self, Argument, Command, GLOBALS, Kind, Native, support};
use super::variables;

/// Every command and option as one Markdown page.
pub(crate) fn markdown() -> String {
    let mut text = String::from("# The commands of transom\n\n");
    text.push_str("Made by `transom reference` from the table that both languages are read by.\n\n");
    text.push_str(
        "## Options of every command\n\n| DISM | transom | variable | meaning |\n|---|---|---|---|\n",
    );
    for argument in GLOBALS {
        let _ = writeln!(
            text,
            "| `{}` | `{}` | `{}` | {} |",
            dism(argument),
            native(argument),
            variables::name(argument),
            cell(argument.help)
        );
    }
    text.push_str("\n## Commands\n");
    for command in table::commands() {
        describe(&mut text, command);
    }
    text
}

fn describe(text: &mut String, command: &Command) {
    let names: Vec<String> = command.dism.iter().map(|name| format!("/{name}")).collect();
    let own = (!command.native.is_empty()).then(|| command.native.to_owned());
    let title: Vec<String> = own.into_iter().chain(names).collect();
    let _ = write!(text, "\n### {}\n\n{}\n", title.join(", "), command.summary);
    if let Some(sentence) = command.dism.first().and_then(|name| support(name).sentence()) {
        let _ = writeln!(text, "{sentence}");
    }
    if !command.is_built() {
        text.push_str("Known, but not built yet.\n");
    }
    if !command.arguments.is_empty() {
        text.push_str("\n| DISM | transom | | meaning |\n|---|---|---|---|\n");
    }
    for argument in command.arguments {
        let occurs = match (argument.is_required(), argument.repeats()) {
            (true, true) => "once or more",
            (true, false) => "required",
            (false, true) => "any number",
            (false, false) => "",
        };
        let _ = writeln!(
            text,
            "| `{}` | `{}` | {occurs} | {} |",
            dism(argument),
            native(argument),
            cell(argument.help)
        );
    }
    for (program, example) in [("transom", command.native_example), ("dism", command.dism_example)] {
        if !example.is_empty() {
            let _ = write!(text, "\n    {program} {example}\n");
        }
    }
}

/// A vertical bar ends a cell, even between backquotes.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn dism(argument: &Argument) -> String {
    let Some(name) = argument.dism.first() else { return " ".to_owned() };
    match argument.kind {
        Kind::Flag | Kind::Switch => format!("/{name}"),
        _ => cell(&format!("/{name}:<{}>", argument.value_name)),
    }
}

fn native(argument: &Argument) -> String {
    match (argument.native, argument.kind) {
        (Native::Option(word), Kind::Flag | Kind::Switch) => format!("--{word}"),
        (Native::Option(word), _) => cell(&format!("--{word} <{}>", argument.value_name)),
        (Native::Position | Native::Rest, _) => cell(&format!("<{}>", argument.value_name)),
    }
}

/// DISM's words: commands and options, those that take a value with a colon.
fn dism_words() -> Vec<String> {
    let option = |argument: &Argument| {
        let colon = if argument.kind.stands_alone() { "" } else { ":" };
        argument.dism.first().map(|name| format!("/{name}{colon}"))
    };
    let mut words: Vec<String> = table::commands()
        .filter(|command| command.is_built())
        .flat_map(|command| {
            let names = command.dism.iter().map(|name| format!("/{name}"));
            names.chain(command.arguments.iter().filter_map(option)).collect::<Vec<_>>()
        })
        .chain(GLOBALS.iter().filter_map(option))
        .chain(["/Help".to_owned()])
        .collect();
    words.sort();
    words.dedup();
    words
}

/// What teaches a shell DISM's words under the name `dism`. In zsh `/?` is a pattern for files,
/// and an error when there are none: `noglob` leaves it alone.
pub(crate) fn dism_completion(shell: Shell) -> String {
    let words = dism_words();
    let line = words.join(" ");
    match shell {
        Shell::Bash => format!("\ncomplete -o default -W '{line}' dism\n"),
        Shell::Zsh => format!(
            "\nalias dism='noglob dism'\n_dism() {{\n    compadd -S '' -- {line}\n    _files\n}}\ncompdef _dism dism\n"
        ),
        Shell::Fish => format!("\ncomplete -c dism -a '{line}'\n"),
        Shell::PowerShell => {
            let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
            format!(
                "\nRegister-ArgumentCompleter -Native -CommandName dism -ScriptBlock {{\n    param($word)\n    \
                 @({}) | Where-Object {{ $_ -like \"$word*\" }}\n}}\n",
                quoted.join(", ")
            )
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_described_with_its_options() {
        let text = markdown();
        for command in table::commands() {
            for name in command.dism {
                assert!(text.contains(&format!("/{name}")), "{name}");
            }
            assert!(text.contains(command.summary) && text.contains(command.native_example));
        }
        assert!(text.contains("| `/ScratchDir:<DIR>` | `--scratch-dir <DIR>` | `TRANSOM_SCRATCH_DIR` |"));
        assert!(text.contains("### package add, /Add-Package\n"));
    }

    #[test]
    fn shells_learn_the_words_of_dism() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish, Shell::PowerShell] {
            let script = dism_completion(shell);
            for word in ["/Get-ImageInfo", "/Image:", "/English", "/Help"] {
                assert!(script.contains(word), "{shell} {word}");
            }
        }
        assert!(dism_completion(Shell::Zsh).contains("noglob"));
    }
}
