//! A database's URL from its parts.

use std::net::Ipv6Addr;

use ::url::Url;

use super::{
    layers::{Layers, PARTS},
    redact::{holds_parameters, redact_url, without_secrets},
};
use crate::{
    error::{Error, Result},
    hooks::Endpoint,
};

/// The `url` setting, or the URL made of `type`, `host`, `port`, `user`, `password` and `name`.
pub(super) fn url_of(layers: &mut Layers) -> Result<Option<String>> {
    let url = layers.text("url")?;
    let given = layers.first_of(&PARTS);
    let kind = layers.text("type")?;
    let host = layers.text("host")?;
    let port = layers.number("port", 1..=u16::MAX)?;
    let user = layers.text("user")?;
    let password = layers.text("password")?;
    let name = layers.text("name")?;
    if let Some(url) = url {
        return match given {
            None => Ok(Some(url)),
            Some("password") => with_password(url.trim(), &password.unwrap_or_default()).map(Some),
            Some(part) => Err(Error::config(
                part,
                "(set)",
                "a type to go with it, or nothing: it would change a part of a url that stands below it",
            )),
        };
    }
    let Some(kind) = kind else {
        let Some(part) = given else { return Ok(None) };
        let expected = format!("postgres, mysql, mariadb or sqlite to go with {part}, or a url in its place");
        return Err(Error::config("type", "(not set)", expected));
    };
    let scheme = match kind.trim().to_ascii_lowercase().as_str() {
        "postgres" | "postgresql" => "postgres",
        "mysql" | "mariadb" => "mysql",
        "sqlite" => return sqlite_url(name).map(Some),
        "oracle" => return Err(Error::unsupported("Oracle; use PostgreSQL, MySQL, MariaDB or SQLite")),
        _ => return Err(Error::config("type", without_secrets(&kind), "postgres, mysql, mariadb or sqlite")),
    };
    let host = host.unwrap_or_else(|| "localhost".to_owned());
    let bad_host = || {
        let expected = "a host name or address alone; the port, the user and the rest have settings of their own";
        Error::config("host", without_secrets(&host), expected)
    };
    for (setting, value) in [("user", &user), ("name", &name)] {
        if value.as_deref().is_some_and(holds_parameters) {
            return Err(Error::config(setting, "***", "a name alone; what stands behind it has settings of its own"));
        }
    }
    let mut url = Url::parse(&format!("{scheme}://placeholder")).map_err(|_| bad_host())?;
    let bare = host.trim().trim_start_matches('[').trim_end_matches(']');
    let address = if bare.parse::<Ipv6Addr>().is_ok() {
        format!("[{bare}]")
    } else if host.contains([':', '@', '?', '#', '\\', ';', '=']) {
        // What stands behind it would be left out, and the database be another one.
        return Err(bad_host());
    } else {
        host.clone()
    };
    url.set_host(Some(&address)).map_err(|_| bad_host())?;
    // None of these fails on a URL that has a host.
    let _ = url.set_port(port);
    let _ = url.set_username(&encode(user.as_deref().unwrap_or_default()));
    let _ = url.set_password(password.as_deref().map(encode).as_deref());
    url.set_path(&encode(&name.unwrap_or_default()));
    Ok(Some(url.into()))
}

fn sqlite_url(name: Option<String>) -> Result<String> {
    let expected = "the database's file, or :memory:";
    let path = name.ok_or_else(|| Error::config("name", "(not set)", expected))?;
    if path == ":memory:" {
        return Ok("sqlite::memory:".to_owned());
    }
    if path.contains("://") {
        return Err(Error::config("name", without_secrets(&path), format!("{expected}; a URL is for the setting url")));
    }
    Ok(format!("sqlite:{}?mode=rwc", encode(&path).replace('?', "%3F").replace('#', "%23")))
}

/// `url` with this password, in place of its own; SQLite takes none.
fn with_password(url: &str, password: &str) -> Result<String> {
    if url.starts_with("sqlite:") {
        return Ok(url.to_owned());
    }
    let refused = |expected: &str| Error::config("password", "(set)", expected);
    let mut parsed = Url::parse(url).map_err(|_| Error::config("url", redact_url(url), "a complete database URL"))?;
    if parsed.query_pairs().any(|(key, _)| key == "password") {
        return Err(refused("one password: the url has a parameter of that name"));
    }
    parsed.set_password(Some(&encode(password))).map_err(|()| refused("no password: the url has no place for one"))?;
    Ok(parsed.into())
}

/// Whether a password is a part of the URL.
pub(super) fn has_password(url: &str) -> bool {
    let parsed = Url::parse(url.trim());
    parsed.is_ok_and(|url| url.password().is_some() || url.query_pairs().any(|(key, _)| key == "password"))
}

/// Where the database is.
pub(super) fn endpoint_of(url: &str) -> Endpoint {
    let mut endpoint = Endpoint::default();
    if let Some(path) = url.strip_prefix("sqlite:") {
        let path = path.strip_prefix("//").unwrap_or(path);
        endpoint.namespace = path.split('?').next().map(str::to_owned);
    } else if let Ok(url) = Url::parse(url) {
        endpoint.address = url.host_str().map(str::to_owned);
        endpoint.port = url.port().or(match url.scheme() {
            "postgres" | "postgresql" => Some(5432),
            _ => Some(3306),
        });
        endpoint.namespace = Some(url.path().trim_start_matches('/').to_owned()).filter(|name| !name.is_empty());
    }
    endpoint
}

/// The percent sign is the one special character that a part of a URL is left to hold as it is.
fn encode(part: &str) -> String {
    part.replace('%', "%25")
}
