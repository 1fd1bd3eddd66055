//! URLs without their secrets.

use ::url::{Url, form_urlencoded};

/// Parameters whose values are no secrets: what any other one holds is anybody's guess.
const SHOWN: [&str; 28] = [
    "application_name",
    "cache",
    "charset",
    "collation",
    "dbname",
    "host",
    "hostaddr",
    "immutable",
    "mode",
    "options",
    "port",
    "socket",
    "ssl-ca",
    "ssl-cert",
    "ssl-key",
    "ssl-mode",
    "ssl-root-cert",
    "sslca",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "statement-cache-capacity",
    "time-zone",
    "timezone",
    "user",
    "username",
    "vfs",
];

const PASSWORD_WORDS: [&str; 3] = ["password", "passwd", "pwd"];

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
    if hides_password(&parsed) {
        return format!("{}:***", parsed.scheme());
    }
    if parsed.password().is_some() {
        // Fails only for URLs that cannot have a password.
        let _ = parsed.set_password(Some("***"));
    }
    // The names as the drivers read them, which may be percent-encoded.
    if parsed.query_pairs().any(|(key, value)| may_be_secret(&key, &value)) {
        let pairs: Vec<(String, String)> = parsed
            .query_pairs()
            .map(|(key, value)| {
                let secret = may_be_secret(&key, &value);
                (key.into_owned(), if secret { "***".to_owned() } else { value.into_owned() })
            })
            .collect();
        parsed.query_pairs_mut().clear().extend_pairs(pairs);
    }
    parsed.to_string()
}

/// Whether a password may be taken for a part of the URL that is shown.
fn hides_password(url: &Url) -> bool {
    if url.scheme() == "sqlite" {
        return holds_parameters(url.path());
    }
    let rest = [Some(url.path()), url.query(), url.fragment()];
    let parts = [Some(url.username()), url.host_str(), Some(url.path()), url.fragment()];
    // As in the connection strings of other libraries.
    !url.has_authority()
        // With a `/`, `?` or `#` in the password.
        || rest.into_iter().flatten().any(|part| part.contains('@'))
        || parts.into_iter().flatten().map(decoded).any(|part| has_password_word(&part) || holds_parameters(&part))
}

/// Whether a part of a URL holds parameters as other connection strings have them, such as `app;password=…`: they are
/// taken for a part of the name.
pub(crate) fn holds_parameters(part: &str) -> bool {
    part.rsplit_once('=').is_some_and(|(before, _)| before.contains(';') || has_password_word(before))
}

/// Without percent-encoding.
pub(crate) fn decoded(part: &str) -> String {
    let pairs: Vec<String> = form_urlencoded::parse(part.as_bytes())
        .map(|(name, value)| if value.is_empty() { name.into_owned() } else { format!("{name}={value}") })
        .collect();
    pairs.join("&")
}

/// The value of some other setting, into which a URL or a password may have strayed.
pub(super) fn without_secrets(value: &str) -> String {
    if value.contains("://") || value.contains(['@', ';']) || has_password_word(value) {
        redact_url(value)
    } else {
        value.to_owned()
    }
}

/// `value` too, where a separator is not the one that it should be, as in `user=ada;password=…`.
fn may_be_secret(key: &str, value: &str) -> bool {
    let known = SHOWN.contains(&key) || key.starts_with("options[");
    !known || has_password_word(value) || holds_parameters(value)
}

fn has_password_word(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    PASSWORD_WORDS.iter().any(|word| text.contains(word))
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
            ("sqlite:passwords.db?mode=rwc&key=s3cret", "sqlite:passwords.db?mode=rwc&key=***"),
            ("sqlite:app.db;password=s3cret", "sqlite:***"),
            ("pgsql:host=localhost;port=5432;user=ada;password=s3cret", "pgsql:***"),
            ("mysql:host=localhost;dbname=app;user=ada;password=s3cret", "mysql:***"),
            ("jdbc:sqlserver://localhost;user=ada;password=s3cret", "jdbc:***"),
            ("jdbc:oracle:thin:ada/s3cret//db:1521/x", "jdbc:***"),
            ("postgres://db/app;password=s3cret", "postgres:***"),
            ("postgres://db/app%3Bpass%3Ds3cret", "postgres:***"),
            ("postgres://db;pass=s3cret/app", "postgres:***"),
            ("postgres://ada,password=s3cret@db/app", "postgres:***"),
            ("postgres://db/app?user=ada;secret=s3cret", "postgres://db/app?user=***"),
            ("postgres://db/app?pass=s3cret&sslmode=require", "postgres://db/app?pass=***&sslmode=require"),
            ("postgres://db/app?passwort=s3cret", "postgres://db/app?passwort=***"),
            ("mysql://db/app?secret=s3cret", "mysql://db/app?secret=***"),
            ("postgres://db/compass?options[search_path]=a", "postgres://db/compass?options[search_path]=a"),
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
            ("db;pass=s3cret", "***"),
        ] {
            assert_eq!(without_secrets(value), shown);
        }
    }
}
