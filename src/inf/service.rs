// SPDX-License-Identifier: GPL-3.0-or-later
//! AddService and what hangs on it.
//!
//! `AddService = name, [flags], install-section [, event-log-section [, [log] [, [name]]]]`

use super::document::{Line, fold};
use super::number::number;
use super::package::Planner;
use super::plan::{Configuration, EventLog, Service};
use super::registry::Directive;
use super::scope::Scope;
use super::{CopyFile, InfError};

const DEFAULT_LOG: &str = "System";

impl Planner<'_> {
    pub(super) fn add_service(
        &mut self,
        scope: &Scope<'_>,
        line: &Line<'_>,
        out: &mut Configuration,
    ) -> Result<(), InfError> {
        let name = scope.field(line, 1)?;
        let flags = self.number_field(scope, line, 2)?;
        if name.is_empty() {
            out.null_driver |= flags & Service::ASSOCSERVICE != 0;
            return Ok(());
        }
        let mut service = Service { name, flags, external: scope.is_external(), ..Service::default() };
        let install = scope.field(line, 3)?;
        match scope.section(&install) {
            Some(section) => {
                for line in section.lines() {
                    self.service_line(scope, &line, &mut service, out)?;
                }
            }
            None => self.warn(scope, line.number(), || format!("there is no service section [{install}]")),
        }
        let log_section = scope.field(line, 4)?;
        if !log_section.is_empty() {
            let or = |text: String, other: &str| if text.is_empty() { other.to_owned() } else { text };
            let mut log = EventLog {
                log: or(scope.field(line, 5)?, DEFAULT_LOG),
                name: or(scope.field(line, 6)?, &service.name),
                registry: Vec::new(),
            };
            match scope.section(&log_section) {
                Some(section) => {
                    for line in section.lines() {
                        if let Some(directive) = directive_of(line.key()) {
                            self.registry(
                                scope,
                                directive,
                                &line,
                                &mut log.registry,
                                &mut out.other_registry,
                            )?;
                        }
                    }
                }
                None => {
                    self.warn(scope, line.number(), || {
                        format!("there is no event-log section [{log_section}]")
                    });
                }
            }
            service.event_log = Some(log);
        }
        out.services.push(service);
        Ok(())
    }

    fn service_line(
        &mut self,
        scope: &Scope<'_>,
        line: &Line<'_>,
        service: &mut Service,
        out: &mut Configuration,
    ) -> Result<(), InfError> {
        let Some(key) = line.key() else { return Ok(()) };
        let text = |position| scope.field(line, position).map(Some);
        match fold(key).as_str() {
            "DISPLAYNAME" => service.display_name = Some(scope.token_text(line.field(1), line.number())?),
            "DESCRIPTION" => service.description = Some(scope.token_text(line.field(1), line.number())?),
            "SERVICETYPE" => service.service_type = self.number_field(scope, line, 1)?,
            "STARTTYPE" => service.start_type = self.number_field(scope, line, 1)?,
            "ERRORCONTROL" => service.error_control = self.number_field(scope, line, 1)?,
            "SERVICEBINARY" => {
                service.binary = Some(binary(&scope.expand_tokens(line.field(1), line.number())?))
            }
            "STARTNAME" => service.start_name = text(1)?,
            "LOADORDERGROUP" => service.load_order_group = text(1)?.filter(|group| !group.is_empty()),
            "DEPENDENCIES" => service.dependencies.extend(non_empty(scope.fields(line)?)),
            "SECURITY" => service.security = text(1)?,
            "BOOTFLAGS" => service.boot_flags = Some(self.number_field(scope, line, 1)?),
            "DELAYEDAUTOSTART" => service.delayed_auto_start = Some(self.number_field(scope, line, 1)?),
            "SERVICESIDTYPE" => service.sid_type = Some(self.number_field(scope, line, 1)?),
            "REQUIREDPRIVILEGES" => service.required_privileges.extend(non_empty(scope.fields(line)?)),
            "ADDTRIGGER" => {
                for name in scope.fields(line)? {
                    let lines = self.listed(scope, line.number(), &name)?;
                    let entry = |line: &Line<'_>| {
                        Ok((line.key().unwrap_or_default().to_owned(), scope.fields(line)?))
                    };
                    let trigger = lines.iter().map(entry).collect::<Result<Vec<_>, InfError>>()?;
                    if !trigger.is_empty() {
                        service.triggers.push(trigger);
                    }
                }
            }
            "FAILUREACTIONS" => {
                for line in self.listed(scope, line.number(), &scope.field(line, 1)?)? {
                    let key = line.key().unwrap_or_default().to_owned();
                    service.failure_actions.push((key, scope.fields(&line)?));
                }
            }
            key => {
                if let Some(directive) = directive_of(Some(key)) {
                    self.registry(scope, directive, line, &mut service.registry, &mut out.other_registry)?;
                }
            }
        }
        Ok(())
    }
}

/// The registry directive of a key.
pub(super) fn directive_of(key: Option<&str>) -> Option<Directive> {
    let key = key?;
    if key.eq_ignore_ascii_case("AddReg") {
        Some(Directive::Add)
    } else if key.eq_ignore_ascii_case("DelReg") {
        Some(Directive::Delete)
    } else if key.eq_ignore_ascii_case("BitReg") {
        Some(Directive::Bits)
    } else {
        None
    }
}

fn non_empty(texts: Vec<String>) -> impl Iterator<Item = String> {
    texts.into_iter().filter(|text| !text.is_empty())
}

/// `%12%\x.sys` as directory id and rest.
fn binary(text: &str) -> (u32, String) {
    let split = text.strip_prefix('%').and_then(|rest| rest.split_once('%'));
    if let Some((id, rest)) = split
        && let Some(dirid) = number(id)
    {
        return (dirid, rest.trim_start_matches('\\').to_owned());
    }
    (CopyFile::ABSOLUTE, text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binaries() {
        let cases = [
            (r"%12%\viostor.sys", (12, "viostor.sys")),
            (r"%13%\sub\x.sys", (13, r"sub\x.sys")),
            (r"%SystemRoot%\x.sys", (65535, r"%SystemRoot%\x.sys")),
            (r"System32\drivers\x.sys", (65535, r"System32\drivers\x.sys")),
        ];
        for (text, (dirid, rest)) in cases {
            assert_eq!(binary(text), (dirid, rest.to_owned()), "{text}");
        }
    }
}
