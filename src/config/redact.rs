//! URLs without their secrets.

use ::url::Url;

/// `url` with its password, and query parameters that may hold one, replaced by `***`.
pub(crate) fn redact_url(url: &str) -> String {
    let Ok(mut parsed) = Url::parse(url) else {
        // What does not parse cannot be cut safely: show the scheme only.
        return match url.split_once(':') {
            Some((scheme, _)) if scheme.chars().all(|c| c.is_ascii_alphanumeric() || c == '+') => {
                format!("{scheme}:***")
            }
            _ => "***".to_owned(),
        };
    };
    let rest = [Some(parsed.path()), parsed.query(), parsed.fragment()];
    if parsed.scheme() != "sqlite" && rest.into_iter().flatten().any(|part| part.contains('@')) {
        // Without its `//`, or with a `/`, `?` or `#` in the password, the password is taken for another part.
        return format!("{}:***", parsed.scheme());
    }
    if parsed.password().is_some() {
        // Fails only for URLs that cannot have a password.
        let _ = parsed.set_password(Some("***"));
    }
    // The names as the drivers read them, which may be percent-encoded.
    if parsed.query_pairs().any(|(key, value)| may_hold_password(&key, &value)) {
        let pairs: Vec<(String, String)> = parsed
            .query_pairs()
            .map(|(key, value)| {
                let secret = may_hold_password(&key, &value);
                (key.into_owned(), if secret { "***".to_owned() } else { value.into_owned() })
            })
            .collect();
        parsed.query_pairs_mut().clear().extend_pairs(pairs);
    }
    parsed.to_string()
}

/// The value of some other setting, into which a URL or a password may have strayed.
pub(super) fn without_secrets(value: &str) -> String {
    if value.contains("://") || value.contains('@') || may_hold_password(value, "") {
        redact_url(value)
    } else {
        value.to_owned()
    }
}

/// `value` too, where a separator is not the one that it should be, as in `user=ada;password=…`.
fn may_hold_password(key: &str, value: &str) -> bool {
    let names = ["password", "passwd", "pwd"];
    [key, value].into_iter().any(|text| names.iter().any(|name| text.to_ascii_lowercase().contains(name)))
}

#[cfg(test)]
mod tests {
    use super::{redact_url, without_secrets};

    #[test]
    fn a_password_is_never_shown() {
        for (url, shown) in [
            ("postgres://ada:s3cret@db:5432/app", "postgres://ada:***@db:5432/app"),
            ("postgres://db/app?user=ada&password=s3cret", "postgres://db/app?user=ada&password=***"),
            ("postgres://db/app?%70assword=s3cret", "postgres://db/app?password=***"),
            (
                "postgres://%2Frun%2Fpg/app?Pass%77ord=s3cret&user=ada",
                "postgres://%2Frun%2Fpg/app?Password=***&user=ada",
            ),
            ("postgres://db/app?user=ada;password=s3cret", "postgres://db/app?user=***"),
            ("mysql://ada@db/app", "mysql://ada@db/app"),
            ("sqlite::memory:", "sqlite::memory:"),
            ("postgres://ada:s3cret@[broken/app", "postgres:***"),
            ("s3cret", "***"),
            ("ada:s3cret@db/app", "ada:***"),
            ("postgres:ada:s3cret@db/app", "postgres:***"),
            ("postgres://ada:1#s3cret@db/app", "postgres:***"),
            ("sqlite://a@b.db", "sqlite://a@b.db"),
        ] {
            assert_eq!(redact_url(url), shown);
        }
    }
    #[test]
    fn a_url_in_another_setting_is_shown_without_its_password() {
        for (value, shown) in [
            ("3", "3"),
            ("soon", "soon"),
            ("postgres://ada:s3cret@db/app", "postgres://ada:***@db/app"),
            ("ada:s3cret@db", "ada:***"),
            ("host=db password=s3cret", "***"),
        ] {
            assert_eq!(without_secrets(value), shown);
        }
    }
}
