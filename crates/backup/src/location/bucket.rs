//! What the object stores of clouds share: a bucket, a prefix, and how they are spoken to.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use object_store::path::Path;
use object_store::{ObjectStore, RetryConfig};
use stead_core::{Error, Result, StoreUrl};

use super::Location;
use super::transport::Connector;

const TIMEOUT: Duration = Duration::from_secs(30);
const RETRY: Duration = Duration::from_secs(60);
/// How often a request is repeated at most. Pauses double up to 15 seconds, so that the time ends it.
const RETRIES: usize = 10;

/// Options that some would write a secret into. They are refused without a look at their value.
const SECRETS: &[&str] = &[
    "access_key_id",
    "secret_access_key",
    "session_token",
    "token",
    "aws_access_key_id",
    "aws_secret_access_key",
    "aws_session_token",
    "account_key",
    "access_key",
    "sas_key",
    "sas_token",
    "sig",
    "client_secret",
    "service_account_key",
    "password",
];

/// What the URL of a bucket says, but for the options of one provider.
pub(super) struct Common {
    pub(super) bucket: String,
    pub(super) endpoint: Option<String>,
    /// As the environment says unless set.
    pub(super) allow_http: Option<bool>,
    timeout: Duration,
    retry: Duration,
}

impl Common {
    pub(super) fn retry(&self) -> RetryConfig {
        RetryConfig {
            max_retries: if self.retry.is_zero() { 0 } else { RETRIES },
            retry_timeout: self.retry,
            ..RetryConfig::default()
        }
    }

    pub(super) fn connector(&self) -> Connector {
        Connector::new(self.timeout)
    }
}

/// Opens the bucket of `url` with what `build` makes of it.
pub(super) fn open(
    mut url: StoreUrl,
    variables: &[(String, String)],
    build: impl FnOnce(&Common, StoreUrl, &[(String, String)]) -> Result<Arc<dyn ObjectStore>>,
) -> Result<Location> {
    refuse_secrets(url.clone())?;
    let (bucket, prefix) = place(&url)?;
    let common = Common {
        bucket,
        endpoint: url.take_as("endpoint", endpoint)?,
        allow_http: url.take_bool("allow_http")?,
        timeout: url.take_as("timeout", above_zero)?.unwrap_or(TIMEOUT),
        retry: url.take_duration("retry")?.unwrap_or(RETRY),
    };
    let is_open = common
        .endpoint
        .as_deref()
        .is_some_and(|endpoint| endpoint.starts_with("http:"));
    if is_open && common.allow_http != Some(true) {
        return Err(Error::invalid(
            "an endpoint without TLS needs the option allow_http=true",
        ));
    }
    let name = format!("{}://{}/{prefix}", url.scheme(), common.bucket);
    let store = build(&common, url, variables)?;
    Ok(Location::new(store, prefix, name.trim_end_matches('/')))
}

fn refuse_secrets(mut url: StoreUrl) -> Result<()> {
    match SECRETS.iter().find(|name| url.take(name).is_some()) {
        None => Ok(()),
        Some(name) => Err(Error::invalid(
            "credentials do not belong into a URL; set them in the environment's variables",
        )
        .with("option", name)),
    }
}

/// The bucket and the prefix of `//bucket/prefix`.
fn place(url: &StoreUrl) -> Result<(String, Path)> {
    let wrong = |message: &'static str| Error::invalid(message).with("scheme", url.scheme());
    let place = url
        .written_place()
        .strip_prefix("//")
        .ok_or_else(|| wrong("the URL of a bucket has two slashes, as in s3://bucket/prefix"))?;
    let authority = place.split('/').next().unwrap_or_default();
    if authority.contains('@') {
        return Err(wrong(
            "credentials do not belong into a URL; set them in the environment's variables",
        ));
    }
    let is_bucket = (1..=255).contains(&authority.len())
        && authority.starts_with(|first: char| first.is_ascii_alphanumeric())
        && authority
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
    if !is_bucket {
        return Err(wrong(
            "the name of a bucket is made of letters, digits, dots, hyphens and underscores",
        ));
    }
    let decoded = url.place().trim_start_matches("//");
    let prefix = decoded.split_once('/').map_or("", |(_, prefix)| prefix);
    let malformed = || wrong("the prefix in the bucket has an empty or a relative part");
    // The parser takes a slash at the beginning for none.
    if prefix.starts_with('/') {
        return Err(malformed());
    }
    let prefix = Path::parse(prefix.trim_end_matches('/')).map_err(|error| malformed().because(error))?;
    Ok((authority.to_owned(), prefix))
}

/// An endpoint without the slashes at its end.
fn endpoint(text: &str) -> Result<String> {
    let wrong = || {
        // Not shown: it may hold a password.
        Error::invalid(
            "an endpoint is written http://host:port or https://host:port, with no credentials or query",
        )
    };
    let behind = text
        .strip_prefix("http://")
        .or_else(|| text.strip_prefix("https://"))
        .ok_or_else(wrong)?;
    let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]/".contains(&byte);
    if behind.is_empty() || behind.starts_with('/') || !behind.bytes().all(is_host) {
        return Err(wrong());
    }
    Ok(text.trim_end_matches('/').to_owned())
}

fn above_zero(text: &str) -> Result<Duration> {
    let duration = stead_core::parse_duration(text)?;
    if duration.is_zero() {
        return Err(Error::invalid("must be above zero"));
    }
    Ok(duration)
}

/// The settings that the environment gives a provider: variables that begin with `prefix` and that object_store knows.
pub(super) fn settings<S: FromStr>(
    prefix: &str,
    variables: &[(String, String)],
) -> impl Iterator<Item = (S, String)> {
    variables
        .iter()
        .filter(move |(name, _)| name.starts_with(prefix))
        .filter_map(|(name, value)| Some((name.to_ascii_lowercase().parse().ok()?, value.clone())))
}

#[cfg(test)]
mod tests {
    use stead_core::ErrorKind;

    use super::super::{Purpose, open_location_with};
    use super::*;

    /// The URLs of a bucket on each provider that is compiled in.
    fn schemes() -> Vec<&'static str> {
        vec![
            #[cfg(feature = "s3")]
            "s3",
            #[cfg(feature = "azure")]
            "azure",
            #[cfg(feature = "gcs")]
            "gs",
        ]
    }

    async fn open_one(url: &str) -> Result<Location> {
        let variables = [
            ("AWS_ACCESS_KEY_ID", "id"),
            ("AWS_SECRET_ACCESS_KEY", "hush"),
            ("AWS_ENDPOINT_URL_S3", "https://other.example"),
            ("AZURE_STORAGE_ACCOUNT_NAME", "account"),
            ("AZURE_STORAGE_ACCOUNT_KEY", "aHVzaA=="),
            ("GOOGLE_SKIP_SIGNATURE", "true"),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        open_location_with(url, Purpose::Find, variables.to_vec()).await
    }

    #[tokio::test]
    async fn buckets_open_on_every_provider() {
        for scheme in schemes() {
            let url = format!(
                "{scheme}://my-bucket/a%20b/c/?endpoint=http://127.0.0.1:9&allow_http=true&timeout=1s&retry=5s"
            );
            let location = open_one(&url).await.unwrap();
            assert_eq!(location.name(), format!("{scheme}://my-bucket/a b/c"));
            assert_eq!(location.object("FORMAT").as_ref(), "a b/c/FORMAT");
            let shown = format!("{location:?}");
            assert!(!shown.contains("hush") && !shown.contains("aHVz"), "{shown}");
        }
    }

    #[cfg(feature = "azure")]
    #[tokio::test]
    async fn settings_that_are_missing_are_named() {
        let opened = open_location_with("azure://bucket", Purpose::Find, Vec::new()).await;
        let error = opened.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        let shown = format!("{error:?}");
        assert!(shown.contains("account") || shown.contains("Account"), "{shown}");
    }

    #[tokio::test]
    async fn credentials_in_a_url_are_refused_and_not_shown() {
        for scheme in schemes() {
            for behind in [
                "id:hush@bucket/x",
                "hush@bucket",
                "bucket?secret_access_key=hush",
                "bucket?sig=hush",
            ] {
                let error = open_one(&format!("{scheme}://{behind}")).await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Invalid);
                let shown = format!("{error:?}");
                assert!(shown.contains("credentials do not belong into a URL"), "{shown}");
                assert!(!shown.contains("hush"), "{shown}");
            }
            let url = format!("{scheme}://bucket?endpoint=https://id:hush@host&allow_http=true");
            let shown = format!("{:?}", open_one(&url).await.unwrap_err());
            assert!(
                shown.contains("option=endpoint") && !shown.contains("hush"),
                "{shown}"
            );
        }
    }

    #[tokio::test]
    async fn malformed_urls_are_refused() {
        for scheme in schemes() {
            for behind in [
                ":bucket",
                "://",
                ":///prefix",
                "://buc ket",
                "://%2e%2e/x",
                "://..",
                "://bucket/../x",
                "://bucket/%2e%2e/x",
                "://bucket//x",
                "://bucket?endpoint=host:9",
                "://bucket?endpoint=https://",
                "://bucket?endpoint=https://host?x=y",
                "://bucket?endpoint=http://host",
                "://bucket?timeout=0s",
                "://bucket?timeout=soon",
                "://bucket?allow_http=maybe",
            ] {
                let error = open_one(&format!("{scheme}{behind}")).await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Invalid, "{scheme}{behind}: {error}");
            }
            let error = open_one(&format!("{scheme}://bucket?endpiont=https://host"))
                .await
                .unwrap_err();
            assert!(
                error.to_string().contains("option=endpiont")
                    && error.to_string().contains("did_you_mean=endpoint"),
                "{error}"
            );
        }
    }
}
