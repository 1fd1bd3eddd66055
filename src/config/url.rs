//! A database's URL from its parts.

use ::url::Url;

use super::layers::Layers;
use crate::error::{Error, Result};

/// The `url` setting, or the URL made of `type`, `host`, `port`, `user`, `password` and `name`.
pub(super) fn url_of(layers: &mut Layers) -> Result<Option<String>> {
    let url = layers.text("url")?;
    let kind = layers.text("type")?;
    let host = layers.text("host")?;
    let port = layers.number("port", u16::MAX.into())?;
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
                format!("sqlite:{path}?mode=rwc")
            }));
        }
        "oracle" => return Err(Error::unsupported("Oracle; use PostgreSQL, MySQL, MariaDB or SQLite")),
        _ => return Err(Error::config("type", kind, "postgres, mysql, mariadb or sqlite")),
    };
    let host = host.unwrap_or_else(|| "localhost".to_owned());
    let bad_host = |_| Error::config("host", &host, "a host name or address");
    let mut url = Url::parse(&format!("{scheme}://placeholder")).map_err(bad_host)?;
    url.set_host(Some(&host)).map_err(bad_host)?;
    // None of these fails on a URL that has a host.
    let _ = url.set_port(port.and_then(|port| u16::try_from(port).ok()));
    let _ = url.set_username(user.as_deref().unwrap_or_default());
    let _ = url.set_password(password.as_deref());
    url.set_path(&name.unwrap_or_default());
    Ok(Some(url.into()))
}
