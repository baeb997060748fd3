// SPDX-License-Identifier: GPL-3.0-or-later
//! The code pages that ANSI text can be in, by their numbers in Windows.

use encoding_rs::Encoding;

use crate::base::{Code, Error, ErrorClass, Result};

/// Numbers of code pages and the labels that the Encoding Standard gives them.
#[rustfmt::skip]
const CODE_PAGES: [(u32, &str); 17] = [
    (866, "ibm866"), (874, "windows-874"), (932, "shift_jis"), (936, "gbk"), (949, "euc-kr"),
    (950, "big5"), (1250, "windows-1250"), (1251, "windows-1251"), (1252, "windows-1252"),
    (1253, "windows-1253"), (1254, "windows-1254"), (1255, "windows-1255"), (1256, "windows-1256"),
    (1257, "windows-1257"), (1258, "windows-1258"), (20866, "koi8-r"), (65001, "utf-8"),
];

/// The encoding of a code page.
pub(super) fn encoding(code_page: u32) -> Result<&'static Encoding> {
    CODE_PAGES
        .iter()
        .find(|(number, _)| *number == code_page)
        .and_then(|(_, label)| Encoding::for_label(label.as_bytes()))
        .ok_or_else(|| {
            let known: Vec<String> = CODE_PAGES.iter().map(|(number, _)| number.to_string()).collect();
            Error::new(ErrorClass::Usage, format!("the code page {code_page} is not known"))
                .with_code(Code::INVALID_PARAMETER)
                .with_hint(format!("known are {}", known.join(", ")))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_page_has_an_encoding() {
        for (number, _) in CODE_PAGES {
            encoding(number).unwrap();
        }
        assert!(encoding(437).unwrap_err().hint().unwrap().contains("1252"));
    }
}
