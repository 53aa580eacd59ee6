//! Why a pass failed, and what follows from it.

use std::time::Duration;

/// Why a pass failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server refused or did not answer.
    #[error("failed to {action}")]
    Kube {
        /// What was tried.
        action: String,
        /// Why it failed.
        #[source]
        source: Box<kube::Error>,
    },
    /// There is an object of that name, and it is another's.
    #[error("{kind} {name} exists and belongs to another; it is not touched")]
    NotOurs {
        /// Its kind.
        kind: String,
        /// Its name.
        name: String,
    },
    /// An object cannot be written as JSON or YAML.
    #[error("failed to write a document: {0}")]
    Document(String),
}

/// Who has to act on an error. It picks the metric's label and how soon the next try is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Category {
    /// The API server is away, busy, or saw a change at the same moment: it passes.
    Passing,
    /// The operator may not, or the object is refused: a person has to act.
    Refused,
    /// A fault of the operator's own.
    Internal,
}

impl Category {
    /// Every category.
    pub const ALL: &[Self] = &[Self::Passing, Self::Refused, Self::Internal];

    /// The metric's label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Passing => "passing",
            Self::Refused => "refused",
            Self::Internal => "internal",
        }
    }

    /// How long to wait after so many failures in a row, the first being 1. `jitter` is 0 to 1.
    #[must_use]
    pub fn wait(self, failures: u32, jitter: f64) -> Duration {
        let (first, longest) = match self {
            Self::Passing => (Duration::from_secs(1), Duration::from_secs(60)),
            Self::Refused | Self::Internal => (Duration::from_secs(10), Duration::from_secs(600)),
        };
        let doubled = first.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(longest);
        doubled.mul_f64(1.0 + jitter.clamp(0.0, 1.0) / 4.0)
    }
}

impl Error {
    /// Wraps an error of the API server.
    pub fn kube(action: impl Into<String>) -> impl FnOnce(kube::Error) -> Self {
        let action = action.into();
        move |source| Self::Kube { action, source: Box::new(source) }
    }

    /// The error with what caused it.
    #[must_use]
    pub fn with_cause(&self) -> String {
        match self.cause() {
            Some(cause) => format!("{self}: {cause}"),
            None => self.to_string(),
        }
    }

    /// What caused it, for a person: of the API server's answers what it says, and not how that came.
    #[must_use]
    pub fn cause(&self) -> Option<String> {
        if let Self::Kube { source, .. } = self
            && let kube::Error::Api(status) = source.as_ref()
            && !status.message.is_empty()
        {
            return Some(format!("{} ({})", status.message, status.code));
        }
        std::error::Error::source(self).map(ToString::to_string)
    }

    /// Whether what was written to is not there any more. Of what a pass is about it says that nothing is left to do.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        match self {
            Self::Kube { source, .. } => matches!(source.as_ref(), kube::Error::Api(status) if status.code == 404),
            Self::NotOurs { .. } | Self::Document(_) => false,
        }
    }

    /// Who has to act.
    #[must_use]
    pub fn category(&self) -> Category {
        match self {
            Self::Kube { source, .. } => match source.as_ref() {
                kube::Error::Api(status) if matches!(status.code, 400 | 403 | 404 | 405 | 422) => Category::Refused,
                kube::Error::SerdeError(_) | kube::Error::BuildRequest(_) => Category::Internal,
                _ => Category::Passing,
            },
            Self::NotOurs { .. } => Category::Refused,
            Self::Document(_) => Category::Internal,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_are_bounded() {
        for category in [Category::Passing, Category::Refused, Category::Internal] {
            let waits: Vec<Duration> = (1..40).map(|failures| category.wait(failures, 0.0)).collect();
            assert!(waits.windows(2).all(|pair| pair[0] <= pair[1]));
            assert!(waits[38] <= Duration::from_secs(600));
            assert!(category.wait(u32::MAX, 1.0) <= Duration::from_secs(750));
        }
        assert_eq!(Category::Passing.wait(1, 0.0), Duration::from_secs(1));
    }

    #[test]
    fn what_the_api_server_says_is_told_in_its_words() {
        let message = "admission webhook \"mail.example\" denied the request: no mail here".to_owned();
        let status = kube::core::Status { code: 403, message, ..kube::core::Status::default() };
        let error = Error::kube("apply Service a")(kube::Error::Api(Box::new(status)));
        let told =
            "failed to apply Service a: admission webhook \"mail.example\" denied the request: no mail here (403)";
        assert_eq!(error.with_cause(), told);
    }

    fn answered(code: u16) -> Error {
        let status = kube::core::Status { code, ..kube::core::Status::default() };
        Error::kube("try")(kube::Error::Api(Box::new(status)))
    }

    #[test]
    fn only_a_404_says_that_it_is_gone() {
        assert!(answered(404).is_gone());
        for other in [answered(403), answered(409), answered(410), Error::Document("404".into())] {
            assert!(!other.is_gone(), "{other}");
        }
    }

    #[test]
    fn the_code_says_who_has_to_act() {
        let api = |code: u16| answered(code).category();
        for (code, wanted) in [
            (403, Category::Refused),
            (409, Category::Passing),
            (410, Category::Passing),
            (422, Category::Refused),
            (429, Category::Passing),
            (500, Category::Passing),
            (503, Category::Passing),
        ] {
            assert_eq!(api(code), wanted, "{code}");
        }
    }
}
