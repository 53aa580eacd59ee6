//! `config check` and `config example`, and reading a config file.

use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
};

use backupmx_relay_config::{LoadError, RelayConfig, examples, from_yaml};

use super::{
    CliError,
    args::{ConfigCommand, Preset},
    output, shown,
};
use crate::ingress::{TlsError, check_certificate};

/// The largest config file that is read, in bytes: some thousands of tenants.
const MAX_FILE: u64 = 16 << 20;

pub(super) fn run(command: &ConfigCommand) -> Result<(), CliError> {
    match command {
        ConfigCommand::Check { file } => {
            let text = read_named(file)?;
            let config = checked(file, &text)?;
            if let Some(files) = &config.tls {
                let place = |error| CliError::Usage(misplaced(&text, &error).in_file(&shown(file)));
                check_certificate(files).map_err(place)?;
            }
            output::print(&format!("{}: right. {}\n", shown(file), summary(&config)))
        }
        ConfigCommand::Example { preset } => output::print(match preset {
            None => examples::FULL,
            Some(Preset::Sliding) => examples::HOLD_7_DAYS,
            Some(Preset::Fortnight) => examples::HOLD_14_DAYS,
        }),
    }
}

/// Reads and checks a config file; `-` is standard input.
pub(super) fn load(file: &Path) -> Result<RelayConfig, CliError> {
    checked(file, &read_named(file)?)
}

fn read_named(file: &Path) -> Result<String, CliError> {
    read(file).map_err(|error| CliError::Usage(format!("failed to read {}: {error}", shown(file))))
}

fn checked(file: &Path, text: &str) -> Result<RelayConfig, CliError> {
    from_yaml(text).map_err(|error| CliError::Usage(error.in_file(&shown(file))))
}

/// Which field of the document a certificate's problem is in, and what was expected of it.
fn misplaced(text: &str, error: &TlsError) -> LoadError {
    let (field, expected) = match error {
        TlsError::Certificates { .. } | TlsError::Empty(_) => {
            ("certificate", "a PEM file with the certificate, then its chain")
        }
        TlsError::Key { .. } => ("key", "a PEM file with the private key"),
        TlsError::Unusable { .. } => ("key", "the private key of the certificate"),
        TlsError::Made(_) | TlsError::SelfSigned(_) => ("certificate", "a certificate"),
    };
    LoadError::of_field(text, &["tls", field], format!("expected {expected}; {error}"))
}

fn read(file: &Path) -> io::Result<String> {
    let mut octets = Vec::new();
    let bounded = |source: &mut dyn io::Read, octets: &mut Vec<u8>| source.take(MAX_FILE + 1).read_to_end(octets);
    if file == Path::new("-") {
        bounded(&mut io::stdin().lock(), &mut octets)?;
    } else {
        bounded(&mut File::open(file)?, &mut octets)?;
    }
    if octets.len() as u64 > MAX_FILE {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it is larger than {MAX_FILE} bytes")));
    }
    String::from_utf8(octets).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let line = 1 + error.as_bytes()[..at].iter().filter(|octet| **octet == b'\n').count();
        io::Error::new(io::ErrorKind::InvalidData, format!("line {line}: expected a text in UTF-8"))
    })
}

fn summary(config: &RelayConfig) -> String {
    let count = |count: usize, one: &str| if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") };
    let domains = config.tenants.iter().map(|tenant| tenant.domains.len()).sum();
    let mut text = format!(
        "Revision {}: {} with {} on {}.",
        config.revision,
        count(config.tenants.len(), "tenant"),
        count(domains, "domain"),
        count(config.listeners.len(), "listener"),
    );
    if config.tenants.is_empty() {
        text.push_str(" No mail is taken: every recipient is answered 451.");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_file_is_named_with_the_line() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("relay.yaml");
        std::fs::write(&file, examples::HOLD_7_DAYS.replace("maxAge: 7d", "maxAge: 7")).unwrap();
        let error = load(&file).unwrap_err();
        let CliError::Usage(text) = error else { panic!("{error:?}") };
        assert!(text.starts_with(&format!("{}: line ", file.display())), "{text}");
        assert!(text.contains("tenants[0].hold.maxAge: expected a duration"), "{text}");
        std::fs::write(&file, b"hostname: a.example\n\xff").unwrap();
        assert!(load(&file).unwrap_err().to_string().contains("line 2: expected a text in UTF-8"));
        assert!(load(&folder.path().join("none")).unwrap_err().to_string().contains("failed to read"));
    }

    #[test]
    fn a_certificate_that_does_not_work_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let [file, certificate, key] = ["relay.yaml", "tls.crt", "tls.key"].map(|name| folder.path().join(name));
        let tls = format!("tls: {{certificate: {}, key: {}}}\nspool:", certificate.display(), key.display());
        std::fs::write(&file, examples::HOLD_7_DAYS.replacen("spool:", &tls, 1)).unwrap();
        let check = || match run(&ConfigCommand::Check { file: file.clone() }) {
            Ok(()) => "right".to_owned(),
            Err(error) => error.to_string(),
        };
        let pair = || rcgen::generate_simple_self_signed(["mx1.example.net".to_owned()]).unwrap();
        let (one, other) = (pair(), pair());
        let line = examples::HOLD_7_DAYS.lines().position(|line| line.starts_with("spool:")).unwrap() + 1;
        let named = |text: &str, path: &Path| {
            let (field, form) =
                if path == key { ("key", "private key") } else { ("certificate", "PEM file with the certificate") };
            assert!(text.starts_with(&format!("{}: line {line}: tls.{field}: expected ", file.display())), "{text}");
            assert!(text.contains(form) && text.contains(&path.display().to_string()), "{text}");
        };
        named(&check(), &certificate);
        std::fs::write(&certificate, one.cert.pem()).unwrap();
        named(&check(), &key);
        std::fs::write(&key, "no key").unwrap();
        named(&check(), &key);
        std::fs::write(&key, other.signing_key.serialize_pem()).unwrap();
        named(&check(), &key);
        std::fs::write(&key, one.signing_key.serialize_pem()).unwrap();
        assert_eq!(check(), "right");
        std::fs::write(&certificate, "").unwrap();
        assert!(check().contains(&certificate.display().to_string()), "{}", check());
    }

    #[test]
    fn the_summary_says_when_no_mail_is_taken() {
        let mut config = from_yaml(examples::HOLD_7_DAYS).unwrap();
        assert_eq!(summary(&config), "Revision 0: 1 tenant with 1 domain on 1 listener.");
        config.tenants.clear();
        assert!(summary(&config).contains("451"));
    }
}
