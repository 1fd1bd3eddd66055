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
    if parsed.query().is_some_and(|query| query.to_ascii_lowercase().contains("password")) {
        let pairs: Vec<(String, String)> = parsed
            .query_pairs()
            .map(|(key, value)| {
                let secret = key.to_ascii_lowercase().contains("password");
                (key.into_owned(), if secret { "***".to_owned() } else { value.into_owned() })
            })
            .collect();
        parsed.query_pairs_mut().clear().extend_pairs(pairs);
    }
    parsed.to_string()
}

#[cfg(test)]
mod tests {
    use super::redact_url;

    #[test]
    fn a_password_is_never_shown() {
        for (url, shown) in [
            ("postgres://ada:s3cret@db:5432/app", "postgres://ada:***@db:5432/app"),
            ("postgres://db/app?user=ada&password=s3cret", "postgres://db/app?user=ada&password=***"),
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
}
