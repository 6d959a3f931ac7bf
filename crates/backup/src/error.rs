//! What the place of a repository answers, as errors of Stead.

use std::error::Error as StdError;
use std::io;
use std::path::Path;

use object_store::Error as ObjectError;
use stead_core::{Error, ErrorKind};

/// How much of a server's words goes into an error, in bytes.
const WORDS_LIMIT: usize = 1_024;

/// What an object store answered.
///
/// The cause is kept. What a server said is kept as text: without the bodies of its answers, of which the code and the
/// message are taken, and without the queries of its URLs. Both repeat what was signed, session tokens among it.
pub(crate) fn object(error: ObjectError) -> Error {
    let (kind, message) = judge(&error);
    let path = match &error {
        ObjectError::NotFound { path, .. }
        | ObjectError::AlreadyExists { path, .. }
        | ObjectError::Precondition { path, .. }
        | ObjectError::NotModified { path, .. }
        | ObjectError::PermissionDenied { path, .. }
        | ObjectError::Unauthenticated { path, .. } => Some(path.clone()),
        _ => None,
    };
    let made = Error::new(kind, message);
    let made = match path {
        Some(path) => made.with("object", path.escape_debug()),
        None => made,
    };
    made.because(cause(error))
}

/// What an object store says about its settings, before it was asked for anything.
#[cfg(any(feature = "s3", feature = "azure", feature = "gcs"))]
pub(crate) fn settings(error: ObjectError) -> Error {
    Error::invalid(
        "the settings of the object store are incomplete or wrong; look at the URL and the environment's variables",
    )
    .because(cause(error))
}

/// What the file system answered about a path.
pub(crate) fn file(error: io::Error, path: &Path) -> Error {
    let (kind, message) = of_file_system(error.kind()).unwrap_or((
        ErrorKind::Unavailable,
        "the directory of the repository cannot be used now",
    ));
    Error::new(kind, message)
        .with("path", path.display())
        .because(error)
}

fn judge(error: &ObjectError) -> (ErrorKind, &'static str) {
    match error {
        ObjectError::NotFound { .. } if says(error, &["NoSuchBucket", "ContainerNotFound"]) => (
            ErrorKind::Invalid,
            "there is no such bucket; make it first, or look at the repository's URL",
        ),
        ObjectError::NotFound { .. } => (ErrorKind::Corrupt, "an object of the repository is missing"),
        ObjectError::AlreadyExists { .. } => (
            ErrorKind::Conflict,
            "an object that was to be new is there already: somebody else made it",
        ),
        ObjectError::Precondition { .. } | ObjectError::NotModified { .. } => (
            ErrorKind::Conflict,
            "an object of the repository is not as it was read before: somebody else changed it",
        ),
        ObjectError::PermissionDenied { .. } => (
            ErrorKind::Denied,
            "the object store does not allow this; look at what the credentials of the environment may do",
        ),
        ObjectError::Unauthenticated { .. } => (
            ErrorKind::Denied,
            "the object store does not take the credentials; look at those of the environment",
        ),
        ObjectError::NotSupported { .. } | ObjectError::NotImplemented { .. } => (
            ErrorKind::Unsupported,
            "the object store cannot do what a repository needs",
        ),
        ObjectError::InvalidPath { .. } => (
            ErrorKind::Corrupt,
            "there is an object with a name that no repository gives",
        ),
        ObjectError::UnknownConfigurationKey { .. } => {
            (ErrorKind::Invalid, "the object store does not know a setting")
        }
        error if says(error, &["XMinioStorageFull", "507 Insufficient Storage"]) => {
            (ErrorKind::Full, "the object store is full")
        }
        error if says(error, &["169.254.169.254", "metadata.google.internal"]) => (
            ErrorKind::Denied,
            "there are no credentials in the environment, and this machine has no role; set the variables",
        ),
        error => in_chain(error)
            .and_then(|error| of_file_system(error.kind()))
            .unwrap_or((
                ErrorKind::Unavailable,
                "the place of the repository does not answer as it should",
            )),
    }
}

fn of_file_system(kind: io::ErrorKind) -> Option<(ErrorKind, &'static str)> {
    Some(match kind {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => (
            ErrorKind::Denied,
            "the file system does not allow this; look at who owns the repository and how it is mounted",
        ),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => (
            ErrorKind::Full,
            "the disk of the repository is full, or a quota or a limit on files is used up",
        ),
        io::ErrorKind::NotADirectory
        | io::ErrorKind::IsADirectory
        | io::ErrorKind::InvalidInput
        | io::ErrorKind::InvalidFilename => (
            ErrorKind::Invalid,
            "what lies at this path cannot be a repository, or a part of one",
        ),
        _ => return None,
    })
}

/// The error of the operating system below `error`.
fn in_chain(error: &ObjectError) -> Option<&io::Error> {
    let mut next = error.source();
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<io::Error>() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

fn says(error: &ObjectError, words: &[&str]) -> bool {
    let text = error.to_string();
    words.iter().any(|word| text.contains(word))
}

fn cause(error: ObjectError) -> Box<dyn StdError + Send + Sync> {
    let text = error.to_string();
    // A server's words hold its URL or an answer in XML; what a directory says holds neither.
    if text.contains('<') || text.contains("://") {
        return without_secrets(&text).into();
    }
    Box::new(error)
}

/// What a server said: its words without what follows the first tag, but with the code and the message in there, and
/// without the queries of URLs.
fn without_secrets(text: &str) -> String {
    let (head, body) = text.split_at(text.find('<').unwrap_or(text.len()));
    let mut shown = String::new();
    for word in head.split_inclusive(char::is_whitespace) {
        match word.split_once('?') {
            Some((place, _)) if place.contains("://") => {
                shown.push_str(place);
                shown.push_str("?... ");
            }
            _ => shown.push_str(word),
        }
    }
    for name in ["Code", "Message"] {
        if let Some(words) = element(body, name) {
            shown.push_str(&format!("{}={words} ", name.to_ascii_lowercase()));
        }
    }
    let mut end = shown.len().min(WORDS_LIMIT);
    while !shown.is_char_boundary(end) {
        end -= 1;
    }
    shown.truncate(end);
    shown.trim_end().to_owned()
}

fn element<'a>(body: &'a str, name: &str) -> Option<&'a str> {
    let (_, behind) = body.split_once(&format!("<{name}>"))?;
    let (words, _) = behind.split_once('<')?;
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generic(kind: io::ErrorKind) -> ObjectError {
        ObjectError::Generic {
            store: "LocalFileSystem",
            source: Box::new(io::Error::from(kind)),
        }
    }

    fn at_path(text: &str, make: fn(String, Box<dyn StdError + Send + Sync>) -> ObjectError) -> Error {
        object(make("backups/7".to_owned(), text.into()))
    }

    #[test]
    fn what_the_file_system_says_is_found_below() {
        for (from, kind) in [
            (io::ErrorKind::StorageFull, ErrorKind::Full),
            (io::ErrorKind::QuotaExceeded, ErrorKind::Full),
            (io::ErrorKind::PermissionDenied, ErrorKind::Denied),
            (io::ErrorKind::ReadOnlyFilesystem, ErrorKind::Denied),
            (io::ErrorKind::NotADirectory, ErrorKind::Invalid),
            (io::ErrorKind::TimedOut, ErrorKind::Unavailable),
        ] {
            let error = object(generic(from));
            assert_eq!(error.kind(), kind, "{from}");
            assert!(error.source().is_some());
            assert_eq!(file(from.into(), Path::new("repo")).kind(), kind, "{from}");
        }
    }

    #[test]
    fn answers_are_judged_and_keep_their_object() {
        let missing = at_path("gone", |path, source| ObjectError::NotFound { path, source });
        assert_eq!(missing.kind(), ErrorKind::Corrupt);
        assert!(missing.to_string().contains("object=backups/7"), "{missing}");
        let bucket = at_path("<Error><Code>NoSuchBucket</Code></Error>", |path, source| {
            ObjectError::NotFound { path, source }
        });
        assert_eq!(bucket.kind(), ErrorKind::Invalid);
        let there = at_path("there", |path, source| ObjectError::AlreadyExists {
            path,
            source,
        });
        assert_eq!(there.kind(), ErrorKind::Conflict);
        let changed = at_path("changed", |path, source| ObjectError::Precondition {
            path,
            source,
        });
        assert_eq!(changed.kind(), ErrorKind::Conflict);
        let denied = at_path("no", |path, source| ObjectError::PermissionDenied {
            path,
            source,
        });
        assert_eq!(denied.kind(), ErrorKind::Denied);
        let unknown = at_path("who", |path, source| ObjectError::Unauthenticated {
            path,
            source,
        });
        assert_eq!(unknown.kind(), ErrorKind::Denied);
        let cannot = object(ObjectError::NotImplemented {
            operation: "put".to_owned(),
            implementer: "one".to_owned(),
        });
        assert_eq!(cannot.kind(), ErrorKind::Unsupported);
        let full = object(ObjectError::Generic {
            store: "S3",
            source: "<Error><Code>XMinioStorageFull</Code></Error>".into(),
        });
        assert_eq!(full.kind(), ErrorKind::Full);
        let nobody = object(ObjectError::Generic {
            store: "S3",
            source: "Error performing PUT http://169.254.169.254/latest/api/token in 5s".into(),
        });
        assert_eq!(nobody.kind(), ErrorKind::Denied);
        assert!(
            nobody.message().starts_with("there are no credentials"),
            "{nobody}"
        );
    }

    #[test]
    fn what_was_signed_is_not_repeated() {
        let said = "Error performing PUT https://host/b/o?X-Amz-Security-Token=hush in 3ms - Server returned non-2xx \
                    status code: 403 Forbidden: <?xml version=\"1.0\"?><Error><Code>SignatureDoesNotMatch</Code>\
                    <Message>it does not match</Message><CanonicalRequest>x-amz-security-token:hush\
                    </CanonicalRequest></Error>";
        let error = at_path(said, |path, source| ObjectError::PermissionDenied {
            path,
            source,
        });
        let shown = format!("{error:?}");
        assert!(!shown.contains("hush"), "{shown}");
        for kept in [
            "https://host/b/o?...",
            "403 Forbidden",
            "code=SignatureDoesNotMatch",
            "message=it does not match",
        ] {
            assert!(shown.contains(kept), "{kept}: {shown}");
        }
    }

    #[test]
    fn long_words_are_cut_between_characters() {
        let long = format!("https://host {}", "é".repeat(4_000));
        assert!(without_secrets(&long).len() <= WORDS_LIMIT);
    }
}
