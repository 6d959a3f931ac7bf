//! Which object stores are compiled in.

use stead_core::{Error, Result, StoreUrl};

use super::{Location, SCHEMES};

/// Opens a bucket by the scheme of its URL.
#[cfg_attr(
    not(any(feature = "s3", feature = "azure", feature = "gcs")),
    expect(unused_variables, reason = "no object store is compiled in")
)]
pub(super) fn open(scheme: &'static str, url: &StoreUrl, variables: &[(String, String)]) -> Result<Location> {
    match scheme {
        #[cfg(feature = "s3")]
        "s3" => super::bucket::open(url.clone(), variables, s3::build),
        #[cfg(feature = "azure")]
        "azure" => super::bucket::open(url.clone(), variables, azure::build),
        #[cfg(feature = "gcs")]
        "gs" => super::bucket::open(url.clone(), variables, gcs::build),
        scheme => {
            let feature = SCHEMES.iter().find(|(name, _)| *name == scheme);
            Err(
                Error::unsupported("repositories of this scheme are not compiled in; switch the feature on")
                    .with("scheme", scheme)
                    .with("feature", feature.map_or(scheme, |(_, feature)| feature)),
            )
        }
    }
}

#[cfg(feature = "s3")]
mod s3 {
    use std::sync::Arc;

    use object_store::ObjectStore;
    use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey as Setting, S3ConditionalPut};
    use stead_core::{Result, StoreUrl};

    use super::super::bucket::{Common, settings};

    pub(super) fn build(
        common: &Common,
        mut url: StoreUrl,
        variables: &[(String, String)],
    ) -> Result<Arc<dyn ObjectStore>> {
        let region = url.take("region");
        let virtual_hosted = url.take_bool("virtual_hosted")?;
        url.finish()?;
        let mut builder = AmazonS3Builder::new();
        for (setting, value) in settings::<Setting>("AWS_", variables) {
            builder = builder.with_config(setting, value);
        }
        if let Some(region) = region {
            builder = builder.with_region(region);
        }
        if let Some(endpoint) = &common.endpoint {
            // A variable that names an endpoint for S3 alone would win otherwise.
            builder = builder.with_config(Setting::S3Endpoint, endpoint);
        }
        if let Some(allow_http) = common.allow_http {
            builder = builder.with_allow_http(allow_http);
        }
        if let Some(virtual_hosted) = virtual_hosted {
            builder = builder.with_virtual_hosted_style_request(virtual_hosted);
        }
        let store = builder
            .with_bucket_name(&common.bucket)
            // A backup is published by a write that fails when somebody was faster.
            .with_conditional_put(S3ConditionalPut::ETagMatch)
            .with_retry(common.retry())
            .with_http_connector(common.connector())
            .build()
            .map_err(crate::error::settings)?;
        Ok(Arc::new(store))
    }
}

#[cfg(feature = "azure")]
mod azure {
    use std::sync::Arc;

    use object_store::ObjectStore;
    use object_store::azure::{AzureConfigKey as Setting, MicrosoftAzureBuilder};
    use stead_core::{Result, StoreUrl};

    use super::super::bucket::{Common, settings};

    pub(super) fn build(
        common: &Common,
        mut url: StoreUrl,
        variables: &[(String, String)],
    ) -> Result<Arc<dyn ObjectStore>> {
        let account = url.take("account");
        url.finish()?;
        let mut builder = MicrosoftAzureBuilder::new();
        for (setting, value) in settings::<Setting>("AZURE_", variables) {
            builder = builder.with_config(setting, value);
        }
        if let Some(account) = account {
            builder = builder.with_account(account);
        }
        if let Some(endpoint) = &common.endpoint {
            builder = builder.with_endpoint(endpoint.clone());
        }
        if let Some(allow_http) = common.allow_http {
            builder = builder.with_allow_http(allow_http);
        }
        let store = builder
            .with_container_name(&common.bucket)
            .with_retry(common.retry())
            .with_http_connector(common.connector())
            .build()
            .map_err(crate::error::settings)?;
        Ok(Arc::new(store))
    }
}

#[cfg(feature = "gcs")]
mod gcs {
    use std::sync::Arc;

    use object_store::ClientConfigKey;
    use object_store::ObjectStore;
    use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey as Setting};
    use stead_core::{Result, StoreUrl};

    use super::super::bucket::{Common, settings};

    pub(super) fn build(
        common: &Common,
        url: StoreUrl,
        variables: &[(String, String)],
    ) -> Result<Arc<dyn ObjectStore>> {
        url.finish()?;
        let mut builder = GoogleCloudStorageBuilder::new();
        for (setting, value) in settings::<Setting>("GOOGLE_", variables) {
            builder = builder.with_config(setting, value);
        }
        if let Some(endpoint) = &common.endpoint {
            builder = builder.with_config(Setting::BaseUrl, endpoint);
        }
        if let Some(allow_http) = common.allow_http {
            let setting = Setting::Client(ClientConfigKey::AllowHttp);
            builder = builder.with_config(setting, allow_http.to_string());
        }
        let store = builder
            .with_bucket_name(&common.bucket)
            .with_retry(common.retry())
            .with_http_connector(common.connector())
            .build()
            .map_err(crate::error::settings)?;
        Ok(Arc::new(store))
    }
}

#[cfg(test)]
mod tests {
    #[cfg(not(all(feature = "s3", feature = "azure", feature = "gcs")))]
    #[tokio::test]
    async fn what_is_not_compiled_in_names_its_feature() {
        use stead_core::ErrorKind;

        use super::super::{Purpose, open_location};

        for (scheme, feature, is_in) in [
            ("s3", "s3", cfg!(feature = "s3")),
            ("azure", "azure", cfg!(feature = "azure")),
            ("gs", "gcs", cfg!(feature = "gcs")),
        ] {
            if !is_in {
                let url = format!("{scheme}://bucket");
                let error = open_location(&url, Purpose::Find).await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Unsupported);
                assert!(
                    error.to_string().ends_with(&format!("feature={feature}")),
                    "{error}"
                );
            }
        }
    }
}
