//! The page's one file, and the headers that keep it what it is.

use ::axum::{
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{Html, IntoResponse, Response},
};
use uuid::{NoContext, Timestamp, Uuid};

const PAGE: &str = include_str!("page.html");
const DOOR: &str = include_str!("door.html");
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

pub(super) fn page() -> Response {
    document(StatusCode::OK, PAGE)
}

/// What asks for the token.
pub(super) fn door() -> Response {
    document(StatusCode::UNAUTHORIZED, DOOR)
}

fn document(status: StatusCode, text: &str) -> Response {
    let nonce = nonce();
    let text = text.replace("{{style}}", STYLE).replace("{{script}}", SCRIPT).replace("{{nonce}}", &nonce);
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; \
         img-src data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; \
         require-trusted-types-for 'script'; trusted-types 'none'"
    );
    let policy = HeaderValue::from_str(&policy).map(|policy| [(header::CONTENT_SECURITY_POLICY, policy)]);
    match policy {
        Ok(policy) => (status, policy, Html(text)).into_response(),
        // A nonce is of hexadecimal digits: this does not happen, and nothing is shown without the policy.
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// 148 random bits of the operating system's.
fn nonce() -> String {
    let random = || Uuid::new_v7(Timestamp::from_unix(NoContext, 0, 0)).simple();
    format!("{}{}", random(), random())
}

/// What every answer has, whatever it is.
pub(super) const HEADERS: [(HeaderName, HeaderValue); 5] = [
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
];
