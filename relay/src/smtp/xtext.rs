//! Values that carry encoded octets: ENVID and ORCPT (RFC 3461 4). Checked, and kept encoded as received.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::PathError;

/// An xtext value (RFC 3461 4): checked, and kept encoded as received.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct XText(String);

/// Octets of an ENVID (RFC 3461 5.4).
const ENVID: usize = 100;

/// Octets of an ORCPT (RFC 3461 5.4).
const ORCPT: usize = 500;

impl XText {
    /// The value, still encoded.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Reads the value of `ENVID=`.
    ///
    /// # Errors
    /// It is empty, too long, no xtext, or has control characters inside.
    pub fn envid(text: &str) -> Result<Self, PathError> {
        if text.len() > ENVID {
            return Err(PathError("ENVID is longer than 100 octets"));
        }
        text.parse()
    }

    /// Reads the value of `ORCPT=`: an address type, a semicolon, xtext (or, for type `utf-8`, the forms of RFC 6533
    /// 3, which may hold what is not ASCII).
    ///
    /// # Errors
    /// It has another form, is too long, or has control characters inside.
    pub fn orcpt(text: &str) -> Result<Self, PathError> {
        if text.len() > ORCPT {
            return Err(PathError("ORCPT is longer than 500 octets"));
        }
        let (kind, address) = text.split_once(';').ok_or(PathError("ORCPT has the form type;address"))?;
        if kind.is_empty() || !kind.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-') {
            return Err(PathError("the address type of ORCPT is a word"));
        }
        if kind.eq_ignore_ascii_case("utf-8") {
            check_unitext(address)?;
        } else {
            check(address)?;
        }
        Ok(Self(text.to_owned()))
    }
}

impl FromStr for XText {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        check(text)?;
        Ok(Self(text.to_owned()))
    }
}

fn check(text: &str) -> Result<(), PathError> {
    if text.is_empty() {
        return Err(PathError("the value is empty"));
    }
    let mut octets = text.bytes();
    while let Some(octet) = octets.next() {
        match octet {
            b'+' => {
                let value = (hex(octets.next()), hex(octets.next()));
                match value {
                    (Some(high), Some(low)) if is_harmless(high * 16 + low) => {}
                    (Some(_), Some(_)) => return Err(PathError("the value has control characters inside")),
                    _ => return Err(PathError("a plus sign is followed by two hexadecimal digits")),
                }
            }
            b'=' => return Err(PathError("an equals sign in a value is written +3D")),
            b'!'..=b'~' => {}
            _ => return Err(PathError("what is not printable ASCII is written +HH")),
        }
    }
    Ok(())
}

/// `utf-8-addr-xtext` and `utf-8-addr-unitext` (RFC 6533 3): code points as `\x{HEX}`, or plainly.
fn check_unitext(text: &str) -> Result<(), PathError> {
    if text.is_empty() {
        return Err(PathError("the value is empty"));
    }
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        rest = match character {
            '\\' => {
                let wrong = PathError("a backslash begins a code point such as \\x{E9}");
                let (digits, after) =
                    rest.strip_prefix("\\x{").and_then(|rest| rest.split_once('}')).ok_or(wrong.clone())?;
                let point = u32::from_str_radix(digits, 16).ok().and_then(char::from_u32).ok_or(wrong)?;
                if point.is_control() {
                    return Err(PathError("the value has control characters inside"));
                }
                after
            }
            '+' => {
                let coded = rest.get(..3).ok_or(PathError("a plus sign is followed by two hexadecimal digits"))?;
                check(coded)?;
                &rest[3..]
            }
            '!'..='~' => &rest[1..],
            character if character.is_ascii() || character.is_control() => {
                return Err(PathError("the value has a space or a control character"));
            }
            character => &rest[character.len_utf8()..],
        };
    }
    Ok(())
}

fn hex(digit: Option<u8>) -> Option<u8> {
    char::from(digit?).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

const fn is_harmless(octet: u8) -> bool {
    octet >= b' ' && octet != 0x7f
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_kept_encoded() {
        for text in ["abc", "a+2Bb", "a+20b+3D", "x@y;z<>", "+E9"] {
            assert_eq!(XText::envid(text).unwrap().as_str(), text);
        }
        for text in ["rfc822;a+2Bb@example.org", "utf-8;d\\x{F6}ner@example.org", "utf-8;döner@example.org", "X-400;a"]
        {
            assert_eq!(XText::orcpt(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn encoded_line_ends_and_other_controls_are_refused() {
        for text in ["", "a+0D+0Ab", "a+0", "a+", "a+GG", "a b", "a=b", "a\r\nb", "a\0", "é", "+7F", "+00"] {
            assert!(XText::envid(text).is_err(), "{text:?} was taken");
        }
        for text in [
            "",
            "rfc822",
            ";a",
            "rfc822;",
            "rfc822;a+0D+0A",
            "rfc822;a b",
            "rfc822;é",
            "rf c;a",
            "utf-8;\\x{0D}",
            "utf-8;\\x{D800}",
            "utf-8;\\xE9",
            "utf-8;a b",
            "utf-8;a\u{85}",
            "utf-8;+0A",
            "utf-8;+0",
            "utf-8;+é",
        ] {
            assert!(XText::orcpt(text).is_err(), "{text:?} was taken");
        }
        assert!(XText::envid(&"a".repeat(101)).is_err());
        assert!(XText::orcpt(&format!("rfc822;{}", "a".repeat(500))).is_err());
    }
}
