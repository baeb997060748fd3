// SPDX-License-Identifier: GPL-3.0-or-later
//! Which images of which file are meant: `install.wim:2`, `install.wim:all`, or index and name as
//! options of their own.

use std::ffi::OsStr;
use std::num::NonZeroU32;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::values::{Values, host_path};
use crate::base::{Error, ErrorClass, Result};
use crate::wim::ImageIndex;

/// Images of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Images {
    /// Nothing was said.
    Unsaid,
    /// Every one.
    All,
    /// The one with this number.
    Index(ImageIndex),
    /// The one with this name.
    Name(String),
}

/// A file and images of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// The image file.
    pub(crate) file: PathBuf,
    /// Which of its images.
    pub(crate) images: Images,
}

impl Target {
    /// The target that `FILE[:INDEX]` under `file`, and the values `index` and `name`, say.
    ///
    /// # Errors
    /// When they contradict each other.
    pub(crate) fn new(file: &str, values: &Values, selectors: &Values) -> Result<Option<Self>> {
        values.first(file).map(|value| Self::of(value, selectors)).transpose()
    }

    /// The targets that every `FILE[:INDEX]` under `file` says.
    ///
    /// # Errors
    /// As [`Target::new`].
    pub(crate) fn each(file: &str, values: &Values) -> Result<Vec<Self>> {
        values.all(file).iter().map(|value| Self::of(value, values)).collect()
    }

    fn of(value: &OsStr, selectors: &Values) -> Result<Self> {
        let whole = host_path(value)?;
        let separate = match (selectors.text("index")?, selectors.text("name")?) {
            (Some(index), None) => parse_index(index),
            (None, Some(name)) => Some(Images::Name(name.to_owned())),
            (None, None) => None,
            (Some(_), Some(_)) => {
                return Err(Error::new(
                    ErrorClass::Usage,
                    "both the index and the name of an image were given",
                )
                .with_hint("give one of them"));
            }
        };
        Ok(match (split(value, Path::exists), separate) {
            (Some(_), Some(_)) => {
                return Err(Error::new(
                    ErrorClass::Usage,
                    format!("{} names an image, and so does an option", whole.display()),
                )
                .with_hint("name the image once"));
            }
            (Some((path, images)), None) => Self { file: path, images },
            (None, images) => Self { file: whole, images: images.unwrap_or(Images::Unsaid) },
        })
    }
}

/// Takes `FILE:INDEX` apart. The part behind the last colon is an index only if it is digits or
/// `all`, and no file of the whole name exists.
fn split(value: &OsStr, exists: impl Fn(&Path) -> bool) -> Option<(PathBuf, Images)> {
    let bytes = value.as_bytes();
    let colon = bytes.iter().rposition(|byte| *byte == b':')?;
    let (file, index) = (bytes.get(..colon)?, bytes.get(colon + 1..)?);
    let images = parse_index(std::str::from_utf8(index).ok()?)?;
    if file.is_empty() || exists(Path::new(value)) {
        return None;
    }
    Some((PathBuf::from(OsStr::from_bytes(file)), images))
}

fn parse_index(text: &str) -> Option<Images> {
    if text.eq_ignore_ascii_case("all") {
        return Some(Images::All);
    }
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse::<NonZeroU32>().ok().map(|number| Images::Index(ImageIndex(number)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(number: u32) -> Images {
        Images::Index(ImageIndex(NonZeroU32::new(number).unwrap()))
    }

    #[test]
    fn the_last_colon_counts_only_before_an_index() {
        let cases = [
            ("install.wim:2", Some(("install.wim", index(2)))),
            ("a:b:13", Some(("a:b", index(13)))),
            ("/x/install.wim:ALL", Some(("/x/install.wim", Images::All))),
            ("install.wim", None),
            ("install.wim:", None),
            ("install.wim:0", None),
            ("install.wim:two", None),
            ("install.wim:+2", None),
            ("install.wim:99999999999", None),
            (":2", None),
        ];
        for (value, expected) in cases {
            let expected = expected.map(|(path, images)| (PathBuf::from(path), images));
            assert_eq!(split(OsStr::new(value), |_| false), expected, "{value}");
        }
        assert_eq!(split(OsStr::new("odd:2"), |path| path == Path::new("odd:2")), None);
    }

    #[test]
    fn an_image_is_named_once() {
        let mut values = Values::default();
        values.push("image", "/none/install.wim:2");
        let target = Target::new("image", &values, &values).unwrap();
        assert_eq!(target, Some(Target { file: "/none/install.wim".into(), images: index(2) }));
        values.push("index", "3");
        assert_eq!(Target::new("image", &values, &values).unwrap_err().code().to_string(), "87");
        assert_eq!(Target::new("image", &Values::default(), &values).unwrap(), None);
    }
}
