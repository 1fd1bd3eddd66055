//! Who may see the page.

use std::{hint::black_box, net::IpAddr};

use ::axum::http::{HeaderMap, HeaderValue, Uri, header, request::Parts, uri::Authority};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use url::form_urlencoded;

/// Who may see the page.
#[derive(Default)]
pub(super) struct Guard {
    token: Option<Token>,
    /// Only requests for this machine are answered.
    only_local: bool,
}

struct Token {
    text: String,
    cookie: String,
}

/// Whether a request is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Admission {
    Admitted,
    /// It has the token in its address: from now on a cookie is enough.
    AdmittedByAddress,
    /// It has no token, or a wrong one.
    Unknown,
    /// It was sent to a name that is not this machine's.
    Misdirected,
}

impl Guard {
    /// Whoever knows the token, or everybody.
    pub(super) fn new(token: Option<String>) -> Self {
        let token = token.map(|text| {
            // Pages on one host share their cookies, whatever their ports.
            let name =
                text.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
            Token { cookie: format!("sea_dao_page_{name:08x}"), text }
        });
        Self { token, only_local: false }
    }

    /// Everybody on this machine.
    pub(super) fn local() -> Self {
        Self { token: None, only_local: true }
    }

    pub(super) fn has_token(&self) -> bool {
        self.token.is_some()
    }

    pub(super) fn admits(&self, request: &Parts) -> Admission {
        if self.only_local && !is_local(&request.uri, &request.headers) {
            return Admission::Misdirected;
        }
        let Some(token) = &self.token else { return Admission::Admitted };
        if bearer(&request.headers).is_some_and(|given| token.is(given.as_bytes()))
            || cookies(&request.headers, &token.cookie).any(|given| token.is(&given))
        {
            return Admission::Admitted;
        }
        match token_in(request.uri.query().unwrap_or_default()) {
            Some(given) if token.is(given.as_bytes()) => Admission::AdmittedByAddress,
            _ => Admission::Unknown,
        }
    }

    /// The cookie for who sent the right token in this form.
    pub(super) fn admit_form(&self, form: &str) -> Option<HeaderValue> {
        let token = self.token.as_ref()?;
        let given = token_in(form)?;
        if token.is(given.as_bytes()) { self.cookie() } else { None }
    }

    /// The cookie that is as good as the token.
    pub(super) fn cookie(&self) -> Option<HeaderValue> {
        let Token { text, cookie } = self.token.as_ref()?;
        let value = URL_SAFE_NO_PAD.encode(text);
        HeaderValue::from_str(&format!("{cookie}={value}; HttpOnly; SameSite=Strict")).ok()
    }
}

impl Token {
    /// In a time that tells nothing of where the two differ.
    fn is(&self, given: &[u8]) -> bool {
        let own = self.text.as_bytes();
        let mut difference = own.len() ^ given.len();
        for (place, byte) in given.iter().enumerate() {
            let own = own.get(place % own.len().max(1)).copied().unwrap_or_default();
            difference |= usize::from(black_box(own ^ byte));
        }
        // An empty token is nobody's.
        !own.is_empty() && black_box(difference) == 0
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

fn cookies<'a>(headers: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = Vec<u8>> + 'a {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|cookies| cookies.to_str().ok());
    let named = all.flat_map(|cookies| cookies.split(';')).filter_map(|cookie| cookie.trim().split_once('='));
    named.filter(move |(other, _)| *other == name).filter_map(|(_, value)| URL_SAFE_NO_PAD.decode(value).ok())
}

fn token_in(form: &str) -> Option<String> {
    form_urlencoded::parse(form.as_bytes()).find(|(name, _)| name == "token").map(|(_, token)| token.into_owned())
}

/// Whether a request is for this machine by the name it was sent to.
fn is_local(uri: &Uri, headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()?.parse::<Authority>().ok());
    let Some(host) = uri.authority().cloned().or(host) else { return false };
    let host = host.host();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use ::axum::http::Request;

    use super::{Admission, Guard};

    fn ask(guard: &Guard, uri: &str, header: Option<(&str, &str)>) -> Admission {
        let mut request = Request::builder().uri(uri);
        if let Some((name, value)) = header {
            request = request.header(name, value);
        }
        guard.admits(&request.body(()).expect("a request").into_parts().0)
    }

    #[test]
    fn the_token_is_taken_from_three_places() {
        let guard = Guard::new(Some("s3cret+ü".to_owned()));
        let cookie = guard.cookie().expect("a cookie");
        let (cookie, attributes) = cookie.to_str().expect("a text").split_once("; ").expect("attributes");
        assert_eq!(attributes, "HttpOnly; SameSite=Strict");
        assert_eq!(ask(&guard, "/", Some(("cookie", &format!("a=b; {cookie}; c=d")))), Admission::Admitted);
        assert_eq!(ask(&guard, "/?token=s3cret%2B%C3%BC", None), Admission::AdmittedByAddress);
        for wrong in ["/", "/?token=", "/?token=s3cret", "/?token=s3cret%2B%C3%BCs3cret%2B%C3%BC"] {
            assert_eq!(ask(&guard, wrong, None), Admission::Unknown, "{wrong}");
        }
        let ascii = Guard::new(Some("s3cret".to_owned()));
        assert_eq!(ask(&ascii, "/", Some(("authorization", "bearer s3cret"))), Admission::Admitted);
        for wrong in ["Bearer s3cre", "Bearer s3cretx", "Bearer ", "Bearer", "Basic s3cret", "s3cret"] {
            assert_eq!(ask(&ascii, "/", Some(("authorization", wrong))), Admission::Unknown, "{wrong}");
        }
        assert_eq!(ask(&ascii, "/", Some(("cookie", cookie))), Admission::Unknown, "that of another token");
    }

    #[test]
    fn an_empty_token_is_nobodys() {
        let guard = Guard::new(Some(String::new()));
        assert_eq!(ask(&guard, "/?token=", None), Admission::Unknown);
        assert_eq!(ask(&guard, "/", Some(("authorization", "Bearer "))), Admission::Unknown);
        assert!(guard.admit_form("token=").is_none());
    }

    #[test]
    fn another_name_for_this_machine_is_refused() {
        let guard = Guard::local();
        for own in ["localhost", "localhost:80", "LOCALHOST:1", "127.0.0.1:9000", "127.1.2.3", "[::1]:9000", "[::1]"] {
            assert_eq!(ask(&guard, "/", Some(("host", own))), Admission::Admitted, "{own}");
        }
        for other in ["evil.example", "localhost.evil.example:9000", "127.0.0.1.evil.example", "10.0.0.1", "", "@"] {
            assert_eq!(ask(&guard, "/", Some(("host", other))), Admission::Misdirected, "{other}");
        }
        assert_eq!(ask(&guard, "/", None), Admission::Misdirected);
    }
}
