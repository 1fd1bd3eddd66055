//! What is asked for, and what is answered.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use ::axum::{
    Router,
    extract::{DefaultBodyLimit, Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header, request::Parts},
    middleware::{Next, from_fn, from_fn_with_state},
    response::{IntoResponse, Response, Sse, sse::Event},
    routing::get,
};
use futures_util::Stream;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinHandle,
    time::{Instant, MissedTickBehavior, interval, sleep},
};

use super::{
    document,
    guard::{Admission, Guard},
    state,
};
use crate::{integrations::axum::Draining, session::Database};

/// How often the page is told something new.
const TICK: Duration = Duration::from_secs(1);
/// For how long one stream goes on; the page then asks for the next one.
const STREAM: Duration = Duration::from_secs(15);
/// How many may look at once.
const MOST_STREAMS: usize = 64;

pub(super) struct Shared {
    databases: Vec<(String, Database)>,
    guard: Guard,
    /// The program ends.
    draining: Draining,
    /// The page's own server ends.
    pub(super) closing: Draining,
    streams: Arc<Semaphore>,
    started: state::Started,
    /// What was told last, for all who look.
    last: Mutex<Option<(Instant, Arc<str>)>>,
}

impl Shared {
    pub(super) fn new(databases: Vec<(String, Database)>, guard: Guard, draining: Draining) -> Arc<Self> {
        let streams = Arc::new(Semaphore::new(MOST_STREAMS));
        Arc::new(Self {
            databases,
            guard,
            draining,
            closing: Draining::default(),
            streams,
            started: state::Started::now(),
            last: Mutex::default(),
        })
    }

    /// The figures as JSON, made at most twice in a tick, however many look.
    fn state(&self) -> Arc<str> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, state)) = &*last
            && at.elapsed() < TICK / 2
        {
            return state.clone();
        }
        let state: Arc<str> = state::figures(&self.databases, &self.started).into();
        *last = Some((Instant::now(), state.clone()));
        state
    }

    /// What a client sends when it comes back, so that it is not told again what it knows.
    fn id_of(&self, told: &[u64]) -> String {
        told.iter().fold(self.started.number().to_string(), |id, told| format!("{id}-{told}"))
    }

    fn read_id(&self, id: &str) -> Option<Vec<u64>> {
        let mut numbers = id.split('-').map(|number| number.parse().ok());
        let is_own = numbers.next()? == Some(self.started.number());
        let told: Vec<u64> = numbers.collect::<Option<_>>()?;
        (is_own && told.len() == self.databases.len()).then_some(told)
    }

    fn is_over(&self) -> bool {
        self.draining.is_started()
            || self.closing.is_started()
            || !self.databases.is_empty() && self.databases.iter().all(|(_, database)| database.status().closed)
    }
}

pub(super) fn routes<S: Clone + Send + Sync + 'static>(shared: Arc<Shared>) -> Router<S> {
    Router::new()
        .route("/", get(async || document::page()))
        .route("/state", get(figures))
        .route("/events", get(events))
        .layer(from_fn_with_state(shared.clone(), guarded))
        .layer(DefaultBodyLimit::max(4_096))
        .layer(from_fn(async |request: Request, next: Next| {
            let mut answer = next.run(request).await;
            answer.headers_mut().extend(document::HEADERS);
            answer
        }))
        .with_state(shared)
}

/// Lets those through who may see the page, and asks the others for the token.
async fn guarded(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let is_door = parts.uri.path() == "/";
    if is_door && parts.method == Method::POST && shared.guard.has_token() {
        return opened(&shared.guard, Request::from_parts(parts, body)).await;
    }
    match shared.guard.admits(&parts) {
        Admission::Admitted => next.run(Request::from_parts(parts, body)).await,
        Admission::AdmittedByAddress => {
            let mut answer = next.run(Request::from_parts(parts, body)).await;
            set_cookie(&mut answer, shared.guard.cookie());
            answer
        }
        Admission::Unknown => unknown(&parts, is_door),
        Admission::Misdirected => {
            (StatusCode::MISDIRECTED_REQUEST, "This page answers only to localhost and loopback addresses.\n")
                .into_response()
        }
    }
}

fn unknown(parts: &Parts, is_door: bool) -> Response {
    let wants_html = parts
        .headers
        .get(header::ACCEPT)
        .is_some_and(|accept| accept.to_str().is_ok_and(|accept| accept.contains("text/html")));
    let mut answer = if is_door && wants_html {
        document::door()
    } else {
        (StatusCode::UNAUTHORIZED, "The token is missing or wrong.\n").into_response()
    };
    answer.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    answer
}

/// Who sends the right token in the form gets a cookie, and the page.
async fn opened(guard: &Guard, request: Request) -> Response {
    use ::axum::extract::FromRequest;

    let cookie = match String::from_request(request, &()).await {
        Ok(form) => guard.admit_form(&form),
        Err(refused) => return refused.into_response(),
    };
    if cookie.is_none() {
        return document::door();
    }
    // Relative, since the routes may be nested anywhere.
    let mut answer = (StatusCode::SEE_OTHER, [(header::LOCATION, "?")]).into_response();
    set_cookie(&mut answer, cookie);
    answer
}

fn set_cookie(answer: &mut Response, cookie: Option<HeaderValue>) {
    if let Some(cookie) = cookie {
        answer.headers_mut().append(header::SET_COOKIE, cookie);
    }
}

async fn figures(State(shared): State<Arc<Shared>>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], shared.state().to_string()).into_response()
}

async fn events(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    let told = headers.get("last-event-id").and_then(|id| shared.read_id(id.to_str().ok()?));
    match shared.streams.clone().try_acquire_owned() {
        Ok(permit) => Sse::new(stream(shared, Watching::begin(permit), told)).into_response(),
        Err(_) => {
            (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "5")], "Too many are looking.\n").into_response()
        }
    }
}

/// One of those who look, for twice the length of a stream at most: who does not read its stream never ends it.
struct Watching {
    permit: Arc<Mutex<Option<OwnedSemaphorePermit>>>,
    limit: JoinHandle<()>,
}

impl Watching {
    fn begin(permit: OwnedSemaphorePermit) -> Self {
        let permit = Arc::new(Mutex::new(Some(permit)));
        let given_up = permit.clone();
        let limit = tokio::spawn(async move {
            sleep(2 * STREAM).await;
            drop(given_up.lock().unwrap_or_else(PoisonError::into_inner).take());
        });
        Self { permit, limit }
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.limit.abort();
        // The task is dropped in its own time; the next one may look at once.
        drop(self.permit.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

/// Figures once a second, and the points of the charts that are new. An event is made when the client is ready for it:
/// for a slow one there are fewer, not a queue of them.
///
/// `told` are the numbers of the points that the client has from an earlier stream.
fn stream(
    shared: Arc<Shared>,
    watching: Watching,
    told: Option<Vec<u64>>,
) -> impl Stream<Item = Result<Event, Infallible>> {
    async_stream::stream! {
        let _watching = watching;
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let until = Instant::now() + STREAM;
        let mut told = told.unwrap_or_else(|| vec![0; shared.databases.len()]);
        yield Ok(Event::default().retry(TICK / 4));
        while !shared.is_over() && Instant::now() < until {
            tokio::select! {
                _ = tick.tick() => {}
                () = shared.draining.started() => break,
                () = shared.closing.started() => break,
            }
            yield Ok(Event::default().event("figures").data(&*shared.state()));
            let points = state::points(&shared.databases, &mut told);
            yield Ok(Event::default().event("points").id(shared.id_of(&told)).data(points));
        }
    }
}

#[cfg(test)]
mod tests {
    use ::axum::{
        extract::State,
        http::{HeaderMap, StatusCode},
    };
    use tokio::{task::yield_now, time::advance};

    use super::{Draining, Guard, MOST_STREAMS, STREAM, Shared, events};

    #[tokio::test(start_paused = true)]
    async fn who_does_not_read_keeps_others_out_for_a_while_only() {
        let shared = Shared::new(Vec::new(), Guard::new(None), Draining::default());
        let open = async || events(State(shared.clone()), HeaderMap::new()).await;
        let mut unread = Vec::new();
        for _ in 0..MOST_STREAMS {
            unread.push(open().await);
        }
        yield_now().await;
        assert_eq!(open().await.status(), StatusCode::SERVICE_UNAVAILABLE);
        advance(2 * STREAM).await;
        // Each of those that waited has a turn.
        for _ in 0..MOST_STREAMS {
            yield_now().await;
        }
        assert_eq!(open().await.status(), StatusCode::OK);
        assert!(unread.iter().all(|answer| answer.status().is_success()));
    }
}
