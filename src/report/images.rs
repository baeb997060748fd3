// SPDX-License-Identifier: GPL-3.0-or-later
//! Reports on image files.

use serde_json::Value;

use super::json::{iso_times, to_value};
use super::{Page, Report};
use crate::base::{Arch, Error};
use crate::imaging::{
    ApplyReport, CaptureReport, DeleteReport, ExportReport, InfoReport, ListReport, MetadataHome,
    OptimizeReport, SetReport, SplitFileReport, Verification,
};
use crate::wim::ImageInfo;

/// What DISM prints where the WIM's XML says nothing.
const UNDEFINED: &str = "<undefined>";

impl Report for InfoReport {
    fn json(&self) -> Value {
        let mut value = to_value(self);
        if let Some(images) = value.get_mut("images").and_then(Value::as_array_mut) {
            for image in images {
                iso_times(image, &["created", "modified"]);
            }
        }
        value
    }

    fn dism(&self, page: &mut Page) {
        page.line(format_args!("Details for image : {}", self.file.display()));
        page.blank();
        for image in &self.images {
            summary(page, image);
            if self.detailed {
                detail(page, image);
            } else {
                page.blank();
            }
        }
    }

    fn native(&self, page: &mut Page) {
        if !self.detailed {
            let images = page.counted(self.image_count.into(), "image");
            let compression =
                self.compression.map_or_else(|| "not compressed".to_owned(), |codec| codec.to_string());
            let solid = if self.solid { ", solid" } else { "" };
            let part = match self.part {
                (1, 1) => String::new(),
                (part, parts) => format!(", part {part} of {parts}"),
            };
            let integrity = if self.integrity_table { ", integrity table" } else { "" };
            page.line(format_args!(
                "{}: {images}, {compression}{solid}{part}{integrity}",
                self.file.display()
            ));
            let rows: Vec<Vec<String>> = self
                .images
                .iter()
                .map(|image| {
                    vec![
                        image.index.to_string(),
                        architecture(image).unwrap_or_default(),
                        version(image).unwrap_or_default(),
                        image.size.map(|size| page.number(size)).unwrap_or_default(),
                        image.name.clone().unwrap_or_default(),
                    ]
                })
                .collect();
            page.columns(&["Index", "Arch", "Version", "Bytes", "Name"], &rows);
            return;
        }
        for image in &self.images {
            let mut rows = vec![("index", Some(image.index.to_string()))];
            rows.extend([
                ("name", image.name.clone()),
                ("description", image.description.clone()),
                ("display name", image.display_name.clone()),
                ("architecture", architecture(image)),
                ("version", version(image)),
                ("edition", image.edition_id.clone()),
                ("installation", image.installation_type.clone()),
                ("product", image.product_name.clone()),
                ("product type", image.product_type.clone()),
                ("product suite", image.product_suite.clone()),
                ("system root", image.system_root.clone()),
                ("languages", languages(image)),
                ("bytes", image.size.map(|size| page.number(size))),
                ("directories", image.directories.map(|count| page.number(count))),
                ("files", image.files.map(|count| page.number(count))),
                ("created", image.created.map(|time| page.iso_moment(time))),
                ("modified", image.modified.map(|time| page.iso_moment(time))),
            ]);
            for (label, value) in rows {
                if let Some(value) = value {
                    page.line(format_args!("{label:13} {value}"));
                }
            }
        }
    }
}

fn summary(page: &mut Page, image: &ImageInfo) {
    page.field("Index", image.index);
    page.field("Name", text(&image.name));
    page.field("Description", text(&image.description));
    let size = image.size.map(|size| format!("{} bytes", page.number(size)));
    page.field("Size", text(&size));
}

fn detail(page: &mut Page, image: &ImageInfo) {
    let fields = [
        ("WIM Bootable", Some(if image.wim_boot == Some(true) { "Yes" } else { "No" }.to_owned())),
        ("Architecture", architecture(image)),
        ("Hal", image.hal.clone()),
        ("Version", image.version.map(|(major, minor, build)| format!("{major}.{minor}.{build}"))),
        ("ServicePack Build", image.service_pack_build.map(|number| number.to_string())),
        ("ServicePack Level", image.service_pack_level.map(|number| number.to_string())),
        ("Edition", image.edition_id.clone()),
        ("Installation", image.installation_type.clone()),
        ("ProductType", image.product_type.clone()),
        ("ProductSuite", image.product_suite.clone()),
        ("System Root", image.system_root.clone()),
        ("Directories", image.directories.map(|count| count.to_string())),
        ("Files", image.files.map(|count| count.to_string())),
        ("Created", image.created.map(|time| page.moment(time))),
        ("Modified", image.modified.map(|time| page.moment(time))),
    ];
    for (label, value) in fields {
        page.field(label, text(&value));
    }
    if image.languages.is_empty() {
        page.field("Languages", UNDEFINED);
        return;
    }
    page.line("Languages :");
    for language in &image.languages {
        let default = if is_default(image, language) { " (Default)" } else { "" };
        page.line(format_args!("\t{language}{default}"));
    }
}

fn text(value: &Option<String>) -> &str {
    value.as_deref().unwrap_or(UNDEFINED)
}

fn architecture(image: &ImageInfo) -> Option<String> {
    let number = image.arch?;
    Some(match Arch::from_processor_number(number) {
        Some(arch) => arch.dism_name().to_owned(),
        None => number.to_string(),
    })
}

/// `major.minor.build.revision`, as far as it is known.
fn version(image: &ImageInfo) -> Option<String> {
    let (major, minor, build) = image.version?;
    Some(match image.service_pack_build {
        Some(revision) => format!("{major}.{minor}.{build}.{revision}"),
        None => format!("{major}.{minor}.{build}"),
    })
}

fn languages(image: &ImageInfo) -> Option<String> {
    let words: Vec<String> = image
        .languages
        .iter()
        .map(|language| match is_default(image, language) {
            true if image.languages.len() > 1 => format!("{language} (default)"),
            _ => language.clone(),
        })
        .collect();
    (!words.is_empty()).then(|| words.join(", "))
}

fn is_default(image: &ImageInfo, language: &str) -> bool {
    image.default_language.as_deref().is_some_and(|default| default.eq_ignore_ascii_case(language))
}

impl Report for Verification {
    fn json(&self) -> Value {
        to_value(self)
    }

    fn dism(&self, page: &mut Page) {
        page.line(format_args!("Details for image : {}", self.file.display()));
        page.blank();
        page.field("Images", self.report.images);
        page.field("Blobs", page.number(self.report.blobs));
        page.field("Size", format_args!("{} bytes", page.number(self.report.bytes)));
        page.field("Integrity Table", if self.report.integrity_table { "Yes" } else { "No" });
        for finding in &self.report.findings {
            page.line(finding_line(finding));
        }
        for warning in &self.report.warnings {
            page.line(format_args!("Note: {warning}"));
        }
        page.blank();
    }

    fn native(&self, page: &mut Page) {
        let verdict = match self.report.findings.len() {
            0 => "sound".to_owned(),
            count => page.counted(count as u64, "finding"),
        };
        page.line(format_args!(
            "{}: {verdict} ({}, {}, {}, {} integrity table)",
            self.file.display(),
            page.counted(self.report.images.into(), "image"),
            page.counted(self.report.blobs, "blob"),
            page.counted(self.report.bytes, "byte"),
            if self.report.integrity_table { "with an" } else { "no" },
        ));
        for finding in &self.report.findings {
            page.line(format_args!("  {}", finding_line(finding)));
        }
        for warning in &self.report.warnings {
            page.line(format_args!("note: {warning}"));
        }
    }

    fn error(&self) -> Option<&Error> {
        self.error.as_ref()
    }
}

fn finding_line(finding: &crate::wim::VerifyFinding) -> String {
    match finding.offset {
        Some(offset) => format!("{} at offset {offset}: {}", finding.what, finding.message),
        None => format!("{}: {}", finding.what, finding.message),
    }
}

impl Report for ListReport {
    fn json(&self) -> Value {
        to_value(self)
    }

    fn dism(&self, page: &mut Page) {
        for entry in &self.entries {
            page.line(&entry.path);
        }
        page.blank();
    }

    fn native(&self, page: &mut Page) {
        for entry in &self.entries {
            page.line(&entry.path);
        }
    }
}

impl Report for ExportReport {
    fn json(&self) -> Value {
        to_value(self)
    }

    fn dism(&self, _page: &mut Page) {}

    fn native(&self, page: &mut Page) {
        let images = page.counted(self.images.len() as u64, "image");
        let how = if self.created { "written" } else { "added" };
        page.line(format_args!(
            "{}: {images} {how}, {} new ({}), {} in all",
            self.destination.display(),
            page.counted(self.new_blobs, "blob"),
            page.counted(self.new_bytes, "byte"),
            page.counted(self.file_size, "byte"),
        ));
        if self.compression_ignored {
            page.line("note: the file exists and keeps its compression");
        }
    }
}

impl Report for CaptureReport {
    fn json(&self) -> Value {
        to_value(self)
    }

    fn dism(&self, page: &mut Page) {
        for warning in &self.warnings {
            page.line(format_args!("Warning: {warning}"));
        }
    }

    fn native(&self, page: &mut Page) {
        page.line(format_args!(
            "{}: image {} ({}), {} in {}, {}",
            self.destination.display(),
            self.index,
            self.name,
            page.counted(self.files, "file"),
            page.counted(self.directories, "folder"),
            page.counted(self.bytes, "byte"),
        ));
        page.line(format_args!(
            "{} new ({}), {} in all{}",
            page.counted(self.new_blobs, "blob"),
            page.counted(self.new_bytes, "byte"),
            page.counted(self.file_size, "byte"),
            if self.verified { ", verified" } else { "" },
        ));
        for path in &self.left_out {
            page.line(format_args!("left out: {path}"));
        }
        for warning in &self.warnings {
            page.line(format_args!("warning: {warning}"));
        }
    }
}

impl Report for ApplyReport {
    fn json(&self) -> Value {
        to_value(self)
    }

    fn dism(&self, page: &mut Page) {
        for warning in &self.warnings {
            page.line(format_args!("Warning: {warning}"));
        }
    }

    fn native(&self, page: &mut Page) {
        let also = match (self.metadata, self.metadata_file) {
            (MetadataHome::Ntfs, false) => "metadata on the NTFS volume",
            (MetadataHome::Ntfs, true) => "metadata on the NTFS volume and in .transom-metadata",
            (MetadataHome::ExtendedAttributes, false) => "metadata in extended attributes",
            (MetadataHome::ExtendedAttributes, true) => {
                "metadata in extended attributes and in .transom-metadata"
            }
        };
        page.line(format_args!(
            "{}: image {} applied, {} in {}, {}; {also}",
            self.directory.display(),
            self.index,
            page.counted(self.files, "file"),
            page.counted(self.directories, "folder"),
            page.counted(self.bytes, "byte"),
        ));
        for warning in &self.warnings {
            page.line(format_args!("warning: {warning}"));
        }
    }
}

impl Report for OptimizeReport {
    fn json(&self) -> Value {
        to_value(self)
    }

    fn dism(&self, page: &mut Page) {
        self.native(page);
    }

    fn native(&self, page: &mut Page) {
        page.line(format_args!(
            "{}: {} reclaimed, {} of {}",
            self.file.display(),
            page.counted(self.reclaimed, "byte"),
            page.number(self.size_after),
            page.number(self.size_before),
        ));
    }
}

impl Report for SplitFileReport {
    fn json(&self) -> Value {
        to_value(self)
    }

    fn dism(&self, _page: &mut Page) {}

    fn native(&self, page: &mut Page) {
        for part in &self.report.parts {
            page.line(format_args!(
                "{}: {}, {}",
                part.file,
                page.counted(part.blobs, "blob"),
                page.counted(part.file_size, "byte"),
            ));
        }
        for part in self.report.parts.iter().filter(|part| part.file_size > self.limit) {
            page.line(format_args!("note: {} is longer than was asked for", part.file));
        }
    }
}

impl Report for DeleteReport {
    fn json(&self) -> Value {
        to_value(self)
    }

    fn dism(&self, _page: &mut Page) {}

    fn native(&self, page: &mut Page) {
        let name = self.name.as_ref().map_or_else(String::new, |name| format!(" ({name})"));
        page.line(format_args!(
            "{}: image {}{name} deleted, {} left",
            self.file.display(),
            self.index,
            page.counted(self.image_count.into(), "image"),
        ));
    }
}

impl Report for SetReport {
    fn json(&self) -> Value {
        to_value(self)
    }

    fn dism(&self, page: &mut Page) {
        self.native(page);
    }

    fn native(&self, page: &mut Page) {
        page.line(format_args!("{}: image {}", self.file.display(), self.index));
        let rows = [("name", &self.name), ("description", &self.description), ("flags", &self.flags)];
        for (label, value) in rows {
            if let Some(value) = value {
                page.line(format_args!("{label:13} {value}"));
            }
        }
        if self.boot_index == self.index {
            page.line("booted from this image");
        }
    }
}
