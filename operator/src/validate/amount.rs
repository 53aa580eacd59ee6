//! Amounts of CPU and memory, in the form in which the API server keeps them.
//!
//! It writes `1024Mi` as `1Gi` and `0.5` as `500m`. An object that is applied in another form than it comes back would
//! be written at every pass.

use std::{fmt, str::FromStr};

/// Suffixes of powers of 1000, from a thousandth on.
const DECIMAL: [&str; 6] = ["m", "", "k", "M", "G", "T"];
/// Suffixes of powers of 1024, from the first on.
const BINARY: [&str; 4] = ["Ki", "Mi", "Gi", "Ti"];

/// An amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Amount {
    /// So many thousandths.
    Decimal(u128),
    /// So many units, given in a power of 1024.
    Binary(u128),
}

/// What is wrong with a text that should be an [`Amount`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected an amount, such as 500m or 2 of cpu, and 512Mi or 2Gi of memory; got {0:?}")]
pub(super) struct AmountError(String);

impl Amount {
    /// Whole units of it, rounded up.
    pub(super) const fn units(self) -> u128 {
        match self {
            Self::Decimal(thousandths) => thousandths.div_ceil(1000),
            Self::Binary(units) => units,
        }
    }
}

impl FromStr for Amount {
    type Err = AmountError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text).ok_or_else(|| AmountError(text.to_owned()))
    }
}

fn parse(text: &str) -> Option<Amount> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || whole.len() + fraction.len() > 18 || fraction.len() > 3 {
        return None;
    }
    // In thousandths: three digits of the fraction.
    let thousandths: u128 = format!("{whole}{fraction:0<3}").parse().ok()?;
    if let Some(power) = BINARY.iter().position(|known| *known == suffix) {
        let units = (thousandths << (10 * (power + 1))).div_ceil(1000);
        return Some(Amount::Binary(units));
    }
    match DECIMAL.iter().position(|known| *known == suffix)? {
        // The API server rounds up what is less than a thousandth; nobody means that.
        0 => thousandths.is_multiple_of(1000).then_some(Amount::Decimal(thousandths / 1000)),
        power => Some(Amount::Decimal(thousandths * 1000_u128.pow(u32::try_from(power - 1).ok()?))),
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Decimal(thousandths) => write_largest(f, thousandths, 1000, &DECIMAL),
            // So small that no power of 1024 goes into it.
            Self::Binary(units) if units < 1024 => write_largest(f, units * 1000, 1000, &DECIMAL),
            Self::Binary(units) => write_largest(f, units, 1024, &["", "Ki", "Mi", "Gi", "Ti"]),
        }
    }
}

/// With the largest suffix that leaves a whole number.
fn write_largest(f: &mut fmt::Formatter<'_>, mut number: u128, base: u128, suffixes: &[&str]) -> fmt::Result {
    let mut place = 0;
    while place + 1 < suffixes.len() && number > 0 && number.is_multiple_of(base) {
        number /= base;
        place += 1;
    }
    write!(f, "{number}{}", suffixes.get(place).copied().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_written_as_the_api_server_keeps_it() {
        for (given, kept, units) in [
            ("1", "1", 1),
            ("0.5", "500m", 1),
            ("1000m", "1", 1),
            ("2500m", "2500m", 3),
            ("2.5", "2500m", 3),
            ("10", "10", 10),
            ("100000", "100k", 100_000),
            ("1500M", "1500M", 1_500_000_000),
            ("134217728", "134217728", 134_217_728),
            ("128Mi", "128Mi", 134_217_728),
            ("1024Mi", "1Gi", 1 << 30),
            ("1.5Gi", "1536Mi", 3 << 29),
            ("0.5Ki", "512", 512),
            ("2048Ti", "2048Ti", 1 << 51),
        ] {
            let amount: Amount = given.parse().unwrap();
            assert_eq!((amount.to_string().as_str(), amount.units()), (kept, units), "{given}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "two", "1e3", "-1", "1.5m", "1.2345", "Mi", ".5", "1 Gi", "1gb", "9999999999999999999"] {
            assert_eq!(text.parse::<Amount>(), Err(AmountError(text.into())), "{text:?}");
        }
    }
}
