//! A database's URL from its parts.

use std::net::Ipv6Addr;

use ::url::Url;

use super::layers::Layers;
use crate::{
    error::{Error, Result},
    hooks::Endpoint,
};

/// The `url` setting, or the URL made of `type`, `host`, `port`, `user`, `password` and `name`.
pub(super) fn url_of(layers: &mut Layers) -> Result<Option<String>> {
    let url = layers.text("url")?;
    let kind = layers.text("type")?;
    let host = layers.text("host")?;
    let port = layers.number("port", 1..=u16::MAX)?;
    let user = layers.text("user")?;
    let password = layers.text("password")?;
    let name = layers.text("name")?;
    if url.is_some() {
        return Ok(url);
    }
    let Some(kind) = kind else {
        if host.is_some() || name.is_some() {
            return Err(Error::config(
                "type",
                "(not set)",
                "postgres, mysql, mariadb or sqlite, or a url in its place",
            ));
        }
        return Ok(None);
    };
    let scheme = match kind.trim().to_ascii_lowercase().as_str() {
        "postgres" | "postgresql" => "postgres",
        "mysql" | "mariadb" => "mysql",
        "sqlite" => {
            let path = name.ok_or_else(|| Error::config("name", "(not set)", "the database's file, or :memory:"))?;
            return Ok(Some(if path == ":memory:" {
                "sqlite::memory:".to_owned()
            } else {
                format!("sqlite:{}?mode=rwc", encode(&path).replace('?', "%3F").replace('#', "%23"))
            }));
        }
        "oracle" => return Err(Error::unsupported("Oracle; use PostgreSQL, MySQL, MariaDB or SQLite")),
        _ => return Err(Error::config("type", kind, "postgres, mysql, mariadb or sqlite")),
    };
    let host = host.unwrap_or_else(|| "localhost".to_owned());
    let bad_host = |_| Error::config("host", &host, "a host name or address");
    let mut url = Url::parse(&format!("{scheme}://placeholder")).map_err(bad_host)?;
    let address = if host.parse::<Ipv6Addr>().is_ok() { format!("[{host}]") } else { host.clone() };
    url.set_host(Some(&address)).map_err(bad_host)?;
    // None of these fails on a URL that has a host.
    let _ = url.set_port(port);
    let _ = url.set_username(&encode(user.as_deref().unwrap_or_default()));
    let _ = url.set_password(password.as_deref().map(encode).as_deref());
    url.set_path(&encode(&name.unwrap_or_default()));
    Ok(Some(url.into()))
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
