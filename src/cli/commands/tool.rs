// SPDX-License-Identifier: GPL-3.0-or-later
//! Commands about the tool itself.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use clap_complete::Shell;
use serde_json::{Map, Value, json};

use super::super::invocation::{Invocation, Understood};
use super::super::token::split_line;
use super::super::values::Values;
use super::super::{native, reference, slash};
use super::Printed;
use crate::base::{Error, ErrorClass, Result};
use crate::report::{SCHEMA_VERSION, error_json};

/// `parse`. One argument with blanks in it is a whole line, quoted the Windows way.
pub(crate) fn parse(values: &Values) -> Result<Printed> {
    let words = match values.all("arguments") {
        [line] if line.as_bytes().contains(&b' ') => split_line(line),
        words => Ok(words.to_vec()),
    };
    let parsed = words
        .map_err(|error| Error::new(ErrorClass::Usage, error.to_string()))
        .and_then(|words| slash::parse(without_program(&words)));
    let (value, error) = match parsed {
        Ok(understood) => (understood_json(&understood), None),
        Err(error) => (json!({ "schema_version": SCHEMA_VERSION, "error": error_json(&error) }), Some(error)),
    };
    Ok(Printed { text: format!("{value:#}\n"), error })
}

/// A line is often pasted with the program in front.
fn without_program(words: &[OsString]) -> &[OsString] {
    match words {
        [program, rest @ ..] if is_dism(program.as_bytes()) => rest,
        _ => words,
    }
}

/// Whether a path's last part is `dism` or `dism.exe`, in any case.
pub(crate) fn is_dism(program: &[u8]) -> bool {
    let name = program.rsplit(|byte| matches!(byte, b'/' | b'\\')).next().unwrap_or_default();
    name.eq_ignore_ascii_case(b"dism") || name.eq_ignore_ascii_case(b"dism.exe")
}

fn understood_json(understood: &Understood) -> Value {
    match understood {
        Understood::Text(_) | Understood::ImageHelp(_) => {
            json!({ "schema_version": SCHEMA_VERSION, "help": true })
        }
        Understood::Run(invocation) => invocation_json(invocation),
    }
}

pub(crate) fn invocation_json(invocation: &Invocation) -> Value {
    let commands = invocation.steps.iter().map(|step| {
        let mut arguments = values_json(&step.values, |id| {
            step.command
                .argument(id)
                .map_or_else(|| id.to_owned(), |argument| argument.dism_name().to_ascii_lowercase())
        });
        for (name, value) in &step.unchecked {
            add(&mut arguments, name.clone(), value.clone().map_or(Value::Bool(true), Value::String));
        }
        json!({
            "command": step.command.name(),
            "native": (!step.command.native.is_empty()).then_some(step.command.native),
            "built": step.command.is_built(),
            "arguments": arguments,
        })
    });
    json!({
        "schema_version": SCHEMA_VERSION,
        "commands": commands.collect::<Vec<_>>(),
        "options": values_json(&invocation.globals, str::to_owned),
        "native_words": native::spell(invocation),
    })
}

/// A flag is `true`; a value is text; several values are a list.
fn values_json(values: &Values, name: impl Fn(&str) -> String) -> Map<String, Value> {
    let mut map = Map::new();
    for (id, list) in values.iter() {
        if list.is_empty() {
            map.insert(name(id), Value::Bool(true));
        }
        for value in list {
            add(&mut map, name(id), value.to_string_lossy().into());
        }
    }
    map
}

fn add(map: &mut Map<String, Value>, name: String, value: Value) {
    match map.get_mut(&name) {
        None => {
            map.insert(name, value);
        }
        Some(Value::Array(list)) => list.push(value),
        Some(single) => *single = Value::Array(vec![single.take(), value]),
    }
}

/// `completions`.
pub(crate) fn completions(values: &Values) -> Result<Printed> {
    let wanted = values.text("shell")?.unwrap_or_default().to_ascii_lowercase();
    let shell: Shell = wanted
        .parse()
        .map_err(|_| Error::new(ErrorClass::Usage, format!("completions for {wanted} are not known")))?;
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut native::command(), "transom", &mut script);
    let text = String::from_utf8_lossy(&script).into_owned() + &reference::dism_completion(shell);
    Ok(Printed { text, error: None })
}

/// `reference`.
pub(crate) fn reference(_values: &Values) -> Result<Printed> {
    Ok(Printed { text: reference::markdown(), error: None })
}

/// `man`.
pub(crate) fn man(values: &Values) -> Result<Printed> {
    let directory =
        values.path("directory")?.ok_or_else(|| Error::new(ErrorClass::Usage, "no directory was named"))?;
    let failed = |error: std::io::Error| Error::io(directory.display(), &error);
    std::fs::create_dir_all(&directory).map_err(failed)?;
    clap_mangen::generate_to(native::command(), &directory).map_err(failed)?;
    Ok(Printed { text: format!("man pages written to {}\n", directory.display()), error: None })
}
