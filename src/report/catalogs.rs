// SPDX-License-Identifier: GPL-3.0-or-later
//! Reports on catalogs.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::{Page, Report, error_json};
use crate::base::Error;
use crate::catalog::{Catalog, FileDigests, Member, Trust};

/// A catalog and what it lists.
#[derive(Debug)]
pub struct CatalogFacts {
    /// Where it is.
    pub file: PathBuf,
    /// What was read.
    pub catalog: Catalog,
}

/// The answer to `cat show`.
#[derive(Debug)]
pub struct CatalogList(pub Vec<CatalogFacts>);

/// A file that should be in a catalog.
#[derive(Debug)]
pub struct MemberVerdict {
    /// Where it is.
    pub file: PathBuf,
    /// How catalogs name it.
    pub digests: FileDigests,
    /// Why it is none, if it is none.
    pub error: Option<Error>,
}

/// The answer to `cat verify`.
#[derive(Debug)]
pub struct CatalogVerdict {
    /// Where it is.
    pub file: PathBuf,
    /// What was read.
    pub catalog: Catalog,
    /// Why a signature does not hold, if one does not.
    pub signature: Option<Error>,
    /// Who vouches for it, when the signer is trusted.
    pub trust: Option<Trust>,
    /// Why the signer is not trusted, when the signatures hold.
    pub untrusted: Option<Error>,
    /// The files that were named.
    pub members: Vec<MemberVerdict>,
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A tag as text: v1 tags are hex digits in UTF-16LE.
fn tag(member: &Member) -> String {
    match member.tag.len() {
        20 | 32 => hex(&member.tag),
        _ => {
            let (pairs, _) = member.tag.as_chunks::<2>();
            let units: Vec<u16> =
                pairs.iter().map(|pair| u16::from_le_bytes(*pair)).take_while(|unit| *unit != 0).collect();
            String::from_utf16_lossy(&units).to_ascii_lowercase()
        }
    }
}

fn facts_json(file: &std::path::Path, catalog: &Catalog) -> Value {
    let attribute = |(name, value): &(String, String)| json!({ "name": name, "value": value });
    json!({
        "file": file.to_string_lossy(),
        "signer": catalog.signer().map(|signer| json!({ "name": signer.common_name, "issuer": signer.issuer })),
        "attributes": catalog.attributes().iter().map(attribute).collect::<Vec<_>>(),
    })
}

fn member_json(member: &Member) -> Value {
    json!({ "tag": tag(member), "file": member.file, "os": member.os_attributes })
}

impl Report for CatalogList {
    fn json(&self) -> Value {
        let catalogs = self.0.iter().map(|facts| {
            let mut value = facts_json(&facts.file, &facts.catalog);
            let members: Vec<Value> = facts.catalog.members().iter().map(member_json).collect();
            if let Some(object) = value.as_object_mut() {
                object.insert("members".to_owned(), members.into());
            }
            value
        });
        json!({ "catalogs": catalogs.collect::<Vec<_>>() })
    }

    fn dism(&self, page: &mut Page) {
        self.native(page);
    }

    fn native(&self, page: &mut Page) {
        for (position, facts) in self.0.iter().enumerate() {
            if position > 0 {
                page.blank();
            }
            let catalog = &facts.catalog;
            page.field("catalog", facts.file.display());
            match catalog.signer() {
                Some(signer) => {
                    page.field("signer", format!("{}, issued by {}", signer.common_name, signer.issuer));
                }
                None => page.field("signer", "nobody"),
            }
            for (name, value) in catalog.attributes() {
                page.field(name, value);
            }
            page.field("members", catalog.members().len());
            for member in catalog.members() {
                let file = member.file.as_deref().unwrap_or("(no name)");
                page.line(format_args!("  {}  {file}  {}", tag(member), member.os_attributes.join(",")));
            }
        }
    }
}

impl CatalogVerdict {
    fn faults(&self) -> impl Iterator<Item = &Error> {
        let members = self.members.iter().filter_map(|member| member.error.as_ref());
        self.signature.iter().chain(&self.untrusted).chain(members)
    }
}

impl Report for CatalogVerdict {
    fn json(&self) -> Value {
        let members = self.members.iter().map(|member| {
            json!({
                "file": member.file.to_string_lossy(),
                "sha1": hex(&member.digests.sha1),
                "sha256": hex(&member.digests.sha256),
                "member": member.error.is_none(),
                "error": member.error.as_ref().map(error_json),
            })
        });
        let mut value = facts_json(&self.file, &self.catalog);
        if let Some(object) = value.as_object_mut() {
            object.insert("signature_error".to_owned(), self.signature.as_ref().map(error_json).into());
            object.insert("trust".to_owned(), super::json::to_value(&self.trust));
            object.insert("trust_error".to_owned(), self.untrusted.as_ref().map(error_json).into());
            object.insert("members".to_owned(), members.collect::<Vec<_>>().into());
        }
        value
    }

    fn dism(&self, page: &mut Page) {
        self.native(page);
    }

    fn native(&self, page: &mut Page) {
        page.line(match &self.signature {
            None => "signatures: valid".to_owned(),
            Some(error) => format!("signatures: {} [{}]", error.message(), error.code()),
        });
        if let Some(trust) = &self.trust {
            page.line(format_args!("signer: {} ({})", trust.chain.join(" < "), trust.kind.as_str()));
            if let (Some(time), Some(stamper)) = (trust.signed_at, &trust.time_stamper) {
                page.line(format_args!("signed: {}, says {stamper}", page.day(time)));
            }
            if let Some(reason) = &trust.untrusted_time_stamp {
                page.line(format_args!("time stamp: not trusted: {reason}"));
            }
        }
        if let Some(error) = &self.untrusted {
            page.line(format_args!("signer: {} [{}]", error.message(), error.code()));
        }
        for member in &self.members {
            page.line(match &member.error {
                None => format!("{}: member", member.file.display()),
                Some(error) => format!("{}: {} [{}]", member.file.display(), error.message(), error.code()),
            });
        }
    }

    fn error(&self) -> Option<&Error> {
        self.faults().next()
    }
}
