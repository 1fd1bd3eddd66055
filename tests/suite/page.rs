//! The page: who may see it, what it is told, and that looking at it costs and holds up nothing.

use std::{net::SocketAddr, time::Duration};

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Method, Request, Response, StatusCode, header},
};
use futures_util::FutureExt;
use http_body_util::BodyExt;
use sea_dao::{
    Error,
    integrations::{axum::Draining, page::Page},
    lifecycle::Lifecycle,
};
use sea_orm::{ConnectionTrait, Statement};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tower::ServiceExt;

use crate::support::{PATIENCE, TestDb, eventually, insert_user, nonce};

for_each_backend!(
    the_document_asks_nobody_else_for_anything,
    every_answer_says_what_may_not_be_done_with_it,
    only_who_knows_the_token_sees_anything,
    the_figures_are_those_of_the_database,
    what_is_switched_off_is_told,
    figures_hold_no_secrets,
    events_follow_the_load,
    a_stream_goes_on_where_the_last_one_ended,
    a_slow_reader_gets_fewer_events_and_no_queue,
    streams_are_bounded,
    streams_end_with_the_database_or_the_program,
    the_server_keeps_to_this_machine,
    readers_do_not_hold_up_the_end_of_the_program,
);

fn page(db: &sea_dao::Database) -> Page {
    Page::new().database("primary", db.clone())
}

async fn watched(db: &TestDb) -> sea_dao::Database {
    db.open(|config| config.watch_everything().n_plus_one(2).slow_threshold(Duration::ZERO)).await
}

async fn send(router: &Router, request: Request<Body>) -> Response<Body> {
    router.clone().oneshot(request).await.unwrap()
}

fn request(method: Method, path: &str, header: Option<(&str, &str)>) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path);
    if let Some((name, value)) = header {
        request = request.header(name, value);
    }
    request.body(Body::empty()).unwrap()
}

async fn get(router: &Router, path: &str) -> (StatusCode, HeaderMap, String) {
    let (parts, body) = send(router, request(Method::GET, path, None)).await.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (parts.status, parts.headers, String::from_utf8(body.to_vec()).unwrap())
}

async fn figures(router: &Router) -> Value {
    let (status, headers, body) = get(router, "/state").await;
    assert_eq!((status, &headers[header::CONTENT_TYPE]), (StatusCode::OK, &"application/json".parse().unwrap()));
    serde_json::from_str::<Value>(&body).unwrap()["databases"][0].take()
}

/// An event stream as it is read.
struct Events {
    body: Body,
    read: String,
}

#[derive(Debug)]
struct Told {
    event: String,
    id: Option<String>,
    data: Value,
}

impl Events {
    async fn open(router: &Router, last: Option<&str>) -> Self {
        let answer = send(router, request(Method::GET, "/events", last.map(|id| ("last-event-id", id)))).await;
        assert_eq!(
            (answer.status(), &answer.headers()[header::CONTENT_TYPE]),
            (StatusCode::OK, &"text/event-stream".parse().unwrap())
        );
        Self { body: answer.into_body(), read: String::new() }
    }

    /// The next event with data; `None` at the end.
    async fn next(&mut self) -> Option<Told> {
        loop {
            if let Some((event, rest)) = self.read.split_once("\n\n") {
                let field = |name: &str| {
                    event.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).map(str::to_owned)
                };
                let told = field("data").map(|data| Told {
                    event: field("event").unwrap(),
                    id: field("id"),
                    data: serde_json::from_str(&data).unwrap(),
                });
                self.read = rest.to_owned();
                if told.is_some() {
                    return told;
                }
                continue;
            }
            let frame = timeout(PATIENCE, self.body.frame()).await.expect("an event, or the end")?;
            self.read.push_str(std::str::from_utf8(&frame.unwrap().into_data().unwrap()).unwrap());
        }
    }

    /// How many come until the end.
    async fn rest(&mut self) -> usize {
        let mut count = 0;
        while self.next().await.is_some() {
            count += 1;
        }
        count
    }

    async fn next_of(&mut self, event: &str) -> Told {
        loop {
            let told = self.next().await.expect("an event");
            if told.event == event {
                return told;
            }
        }
    }
}

async fn the_document_asks_nobody_else_for_anything(db: TestDb) {
    let router: Router = page(&db).into_router();
    let (status, headers, text) = get(&router, "/").await;
    assert_eq!(
        (status, &headers[header::CONTENT_TYPE]),
        (StatusCode::OK, &"text/html; charset=utf-8".parse().unwrap())
    );
    // Names of namespaces are not asked for.
    let elsewhere = text.replace("http://www.w3.org/2000/svg", "");
    for address in ["http:", "https:", "src=\"//", "@import", "url("] {
        assert!(!elsewhere.contains(address), "{address}");
    }
    // Nothing that is told becomes a part of the document but as text.
    for sink in
        ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "Function(", "srcdoc", "setHTML"]
    {
        assert!(!text.contains(sink), "{sink}");
    }
    let policy = headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
    let nonce = policy.split("script-src 'nonce-").nth(1).unwrap().split('\'').next().unwrap();
    assert_eq!(nonce.len(), 64);
    assert_eq!(text.matches("<script").count(), text.matches(&format!("<script nonce=\"{nonce}\">")).count());
    assert_eq!(text.matches("<style").count(), text.matches(&format!("<style nonce=\"{nonce}\">")).count());
    let markup = text.split("<script").next().unwrap();
    assert!(!text.contains("{{") && !markup.contains(" style=\"") && !markup.contains(" onclick"));
    let directives: Vec<_> = policy.split(';').map(str::trim).collect();
    for directive in [
        "default-src 'none'",
        "connect-src 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "require-trusted-types-for 'script'",
    ] {
        assert!(directives.contains(&directive), "{directive}: {policy}");
    }
    assert!(!policy.contains("unsafe") && !policy.contains('*'));
    let (_, again, _) = get(&router, "/").await;
    assert_ne!(
        again[header::CONTENT_SECURITY_POLICY],
        headers[header::CONTENT_SECURITY_POLICY],
        "a nonce is used once"
    );
}

async fn every_answer_says_what_may_not_be_done_with_it(db: TestDb) {
    let open: Router = page(&db).into_router();
    let closed: Router = page(&db).token("t").into_router();
    let nested: Router = Router::new().nest("/page", page(&db).into_router());
    for (router, path, expected) in [
        (&open, "/", StatusCode::OK),
        (&open, "/state", StatusCode::OK),
        (&closed, "/", StatusCode::UNAUTHORIZED),
        (&closed, "/state", StatusCode::UNAUTHORIZED),
        (&closed, "/events", StatusCode::UNAUTHORIZED),
        (&nested, "/page", StatusCode::OK),
        (&nested, "/page/state", StatusCode::OK),
    ] {
        let (status, headers, _) = get(router, path).await;
        assert_eq!(status, expected, "{path}");
        for (name, value) in [
            ("cache-control", "no-store"),
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            assert_eq!(headers[name], value, "{path}");
        }
    }
    for path in ["/", "/state", "/events"] {
        for method in [Method::POST, Method::PUT, Method::DELETE] {
            let answer = send(&open, request(method, path, None)).await;
            assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED, "{path}");
        }
    }
    assert_eq!(get(&open, "/favicon.ico").await.0, StatusCode::NOT_FOUND);
    assert_eq!(send(&open, request(Method::HEAD, "/", None)).await.status(), StatusCode::OK);
}

async fn only_who_knows_the_token_sees_anything(db: TestDb) {
    const TOKEN: &str = "a long; and <strange> tökén";
    let router: Router = page(&db).token(TOKEN).into_router();
    let asked =
        async |path: &str, header: Option<(&str, &str)>| send(&router, request(Method::GET, path, header)).await;
    for path in ["/", "/state", "/events"] {
        for wrong in ["", "?token=", "?token=wrong", "?token=a%20long"] {
            let answer = asked(&format!("{path}{wrong}"), None).await;
            assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{path}{wrong}");
            assert!(!answer.headers().contains_key(header::SET_COOKIE));
            let body = answer.into_body().collect().await.unwrap().to_bytes();
            assert!(!String::from_utf8_lossy(&body).contains("primary"));
        }
    }
    // A person is asked for it.
    let door = asked("/", Some(("accept", "text/html,*/*"))).await;
    assert_eq!(door.status(), StatusCode::UNAUTHORIZED);
    assert!(door.headers().contains_key(header::CONTENT_SECURITY_POLICY));
    let text = door.into_body().collect().await.unwrap().to_bytes();
    assert!(String::from_utf8_lossy(&text).contains("<form method=\"post\""));

    let form = |token: &str| {
        let form = url::form_urlencoded::Serializer::new(String::new()).append_pair("token", token).finish();
        let mut request = request(Method::POST, "/", Some(("content-type", "application/x-www-form-urlencoded")));
        *request.body_mut() = Body::from(form);
        request
    };
    let refused = send(&router, form("wrong")).await;
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    assert!(!refused.headers().contains_key(header::SET_COOKIE));
    let large = send(&router, form(&"x".repeat(10_000))).await;
    assert_eq!(large.status(), StatusCode::PAYLOAD_TOO_LARGE);
    let opened = send(&router, form(TOKEN)).await;
    assert_eq!((opened.status(), &opened.headers()[header::LOCATION]), (StatusCode::SEE_OTHER, &"?".parse().unwrap()));
    let cookie = opened.headers()[header::SET_COOKIE].to_str().unwrap();
    assert!(cookie.contains("; HttpOnly; SameSite=Strict") && !cookie.contains("strange"), "{cookie}");
    let cookie = cookie.split(';').next().unwrap().to_owned();
    for path in ["/", "/state", "/events"] {
        assert_eq!(asked(path, Some(("cookie", &cookie))).await.status(), StatusCode::OK, "{path}");
    }

    // By a link: the same cookie.
    let query = url::form_urlencoded::Serializer::new(String::new()).append_pair("token", TOKEN).finish();
    let linked = asked(&format!("/?{query}"), None).await;
    assert_eq!(linked.status(), StatusCode::OK);
    assert!(linked.headers()[header::SET_COOKIE].to_str().unwrap().starts_with(&cookie));

    let plain: Router = page(&db).token("plain").into_router();
    let bearer = request(Method::GET, "/state", Some(("authorization", "Bearer plain")));
    assert_eq!(send(&plain, bearer).await.status(), StatusCode::OK);
    assert!(!format!("{:?}", page(&db).token("plain")).contains("plain"));
}

async fn the_figures_are_those_of_the_database(db: TestDb) {
    let pool = watched(&db).await;
    let router: Router = page(&pool).into_router();
    insert_user(&pool, "a").await.unwrap();
    insert_user(&pool, "a").await.unwrap_err();
    let hostile = "<script>alert(1)</script>";
    let quote = if pool.backend() == sea_orm::DbBackend::MySql { '`' } else { '"' };
    let sql = format!("SELECT 1 AS {quote}{hostile}{quote}");
    pool.query_all_raw(Statement::from_string(pool.backend(), &sql)).await.unwrap();
    let session = pool.session();
    for number in 0..4 {
        nonce(&session, number).await.unwrap();
    }
    let told = figures(&router).await;
    assert_eq!((&told["name"], told["system"].is_string()), (&"primary".into(), true));
    assert_eq!(
        (&told["pool"]["checked_out"], &told["pool"]["pool_size"], &told["usage"]),
        (&1.into(), &4.into(), &0.25.into())
    );
    assert_eq!(told["holders"].as_array().unwrap().len(), 1);
    assert!(told["holders"][0]["at"].as_str().unwrap().starts_with(file!()), "{told:#}");
    assert_eq!(told["counters"]["opened"], pool.counters().opened);
    let statements = told["statements"]["list"].as_array().unwrap();
    assert_eq!(told["statements"]["calls"], pool.statements().snapshot().calls());
    let of = |sql: &str| statements.iter().find(|one| one["sql"].as_str().unwrap().contains(sql)).unwrap();
    assert_eq!((&of("INSERT")["calls"], &of("INSERT")["errors"]), (&2.into(), &1.into()));
    // As it is: the page shows it as text, never as a part of itself.
    assert_eq!(of("script")["sql"], sql.replace('1', "?").replacen("alert(?)", "alert(1)", 1));
    assert!(!get(&router, "/").await.2.contains(hostile));
    let slow = told["slow"]["list"].as_array().unwrap();
    assert_eq!((told["slow"]["on"].as_bool(), slow.len() >= 7), (Some(true), true));
    assert!(slow.iter().any(|one| one["error"] == "unique_violation"), "{slow:#?}");
    let repeated = &told["repeated"];
    assert_eq!((&repeated["limit"], &repeated["list"][0]["count"]), (&2.into(), &4.into()), "{repeated:#}");
    assert!(told["alerts"]["rules"].as_u64().unwrap() > 4);
    drop(session);
}

async fn what_is_switched_off_is_told(db: TestDb) {
    let router: Router = page(&db).into_router();
    let told = figures(&router).await;
    for (kind, on) in ["statements", "slow", "repeated", "alerts"].map(|kind| (kind, &told[kind]["on"])) {
        assert_eq!(on, false, "{kind}");
    }
    assert_eq!(told["history"], false);
    assert_eq!(told["pool"]["pool_size"], 4, "what the pool knows by itself is there");
    let none: Router = Page::new().into_router();
    assert_eq!(get(&none, "/state").await.0, StatusCode::OK);
}

async fn figures_hold_no_secrets(db: TestDb) {
    let pool = watched(&db).await;
    pool.query_all_raw(Statement::from_string(pool.backend(), "SELECT 'open sesame' AS word")).await.unwrap();
    pool.query_all_raw(Statement::from_string(pool.backend(), "SELECT no_such_function('open sesame')"))
        .await
        .unwrap_err();
    let router: Router = page(&pool).token("t").into_router();
    let (_, _, told) = get(&router, "/state?token=t").await;
    assert!(told.contains("no_such_function"));
    let port = url::Url::parse(db.url()).unwrap().port().map_or("no port".to_owned(), |port| format!(":{port}"));
    for secret in ["sesame", "://", "127.0.0.1", "password", "/tmp", &port] {
        assert!(!told.contains(secret), "{secret} in {told}");
    }
}

async fn events_follow_the_load(db: TestDb) {
    let pool = watched(&db).await;
    let router: Router = page(&pool).into_router();
    let mut events = Events::open(&router, None).await;
    let calls = |told: &Told| told.data["databases"][0]["statements"]["calls"].as_u64().unwrap();
    let before = calls(&events.next_of("figures").await);
    for number in 0..50 {
        nonce(&pool, number).await.unwrap();
    }
    assert!(calls(&events.next_of("figures").await) >= before + 50);
    let mut drawn = 0;
    let mut last = 0;
    while drawn < 50 {
        for point in events.next_of("points").await.data[0].as_array().unwrap() {
            let [number, statements] = [0, 3].map(|place| point[place].as_u64().unwrap());
            assert!(last == 0 || number == last + 1, "each point once");
            (last, drawn) = (number, drawn + statements);
        }
    }
    // Looking sends nothing to the database.
    assert_eq!(calls(&events.next_of("figures").await), before + 50);
}

async fn a_stream_goes_on_where_the_last_one_ended(db: TestDb) {
    let pool = watched(&db).await;
    let router: Router = page(&pool).into_router();
    eventually("there is a point", async || !pool.history().points().is_empty()).await;
    let told = Events::open(&router, None).await.next_of("points").await;
    let first = told.data[0].as_array().unwrap();
    let last = first.last().unwrap()[0].as_u64().unwrap();
    assert_eq!(first[0][0], 1);
    let id = told.id.unwrap();
    let mut again = Events::open(&router, Some(&id)).await;
    let new = loop {
        let points = again.next_of("points").await.data[0].as_array().unwrap().clone();
        if let Some(point) = points.first() {
            break point[0].as_u64().unwrap();
        }
    };
    assert_eq!(new, last + 1);
    // What another page has told is not taken for this one's.
    for strange in ["", "1-1", "x", &format!("{id}-1"), &id.replace('-', "--"), "-"] {
        let told = Events::open(&router, Some(strange)).await.next_of("points").await;
        assert_eq!(told.data[0][0][0], 1, "{strange}");
    }
}

async fn a_slow_reader_gets_fewer_events_and_no_queue(db: TestDb) {
    let pool = watched(&db).await;
    let router: Router = page(&pool).into_router();
    let mut events = Events::open(&router, None).await;
    let known = events.next_of("points").await.data[0].as_array().unwrap().len();
    eventually("it misses some", async || pool.history().points().len() >= known + 4).await;
    let missed = async {
        events.next_of("figures").await;
        events.next_of("points").await.data[0].as_array().unwrap().len()
    };
    assert!(missed.now_or_never().is_some_and(|points| points >= 4), "what was missed comes at once");
    assert!(events.next().now_or_never().is_none(), "and nothing else");
}

async fn streams_are_bounded(db: TestDb) {
    let router: Router = page(&db).into_router();
    let mut streams = Vec::new();
    for _ in 0..64 {
        streams.push(Events::open(&router, None).await);
    }
    let refused = get(&router, "/events").await;
    assert_eq!((refused.0, &refused.1[header::RETRY_AFTER]), (StatusCode::SERVICE_UNAVAILABLE, &"5".parse().unwrap()));
    streams.pop();
    Events::open(&router, None).await.next_of("figures").await;
}

async fn streams_end_with_the_database_or_the_program(db: TestDb) {
    let other = db.open(|config| config).await;
    let draining = Draining::default();
    let router: Router = page(&db).database("other", other.clone()).draining(draining.clone()).into_router();
    let mut events = Events::open(&router, None).await;
    events.next_of("points").await;
    draining.start();
    // At once, and not when a stream ends anyway.
    assert!(events.rest().await <= 2);
    assert!(Events::open(&router, None).await.next().await.is_none());

    let router: Router = page(&db).database("other", other.clone()).into_router();
    let mut events = Events::open(&router, None).await;
    other.close().await;
    let told = events.next_of("figures").await;
    assert_eq!(told.data["databases"].as_array().unwrap().len(), 2);
    db.close().await;
    assert!(events.rest().await <= 3);
}

/// Asks over the network, under this name.
async fn ask(address: SocketAddr, path: &str, host: &str) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(timeout(PATIENCE, stream.read_u8()).await.unwrap().unwrap());
    }
    (stream, String::from_utf8(head).unwrap())
}

async fn the_server_keeps_to_this_machine(db: TestDb) {
    let server = page(&db).serve().await.unwrap();
    let address = server.address();
    assert!(address.ip().is_loopback());
    let own = address.to_string();
    for (host, expected) in
        [(&*own, "200"), ("localhost", "200"), ("evil.example", "421"), ("localhost.evil.example", "421")]
    {
        for path in ["/", "/state", "/events"] {
            let (_, head) = ask(address, path, host).await;
            assert!(head.starts_with(&format!("HTTP/1.1 {expected} ")), "{host}{path}: {head}");
        }
    }
    let taken = page(&db).address(address).serve().await.unwrap_err();
    assert!(matches!(&taken, Error::Config { setting: "page address", .. }), "{taken}");
    let everywhere = SocketAddr::from(([0, 0, 0, 0], 0));
    let refused = page(&db).address(everywhere).serve().await.unwrap_err();
    assert!(refused.to_string().contains("token"), "{refused}");
    let empty = page(&db).address(everywhere).token("").serve().await.unwrap_err();
    assert!(matches!(&empty, Error::Config { setting: "page token", .. }), "{empty}");
    server.close().await;

    let server = page(&db).address(everywhere).token("t").serve().await.unwrap();
    let address = SocketAddr::from(([127, 0, 0, 1], server.address().port()));
    assert!(ask(address, "/state", "some.name").await.1.starts_with("HTTP/1.1 401 "));
    assert!(ask(address, "/state?token=t", "some.name").await.1.starts_with("HTTP/1.1 200 "));
    drop(server);
    eventually("a dropped server listens no more", async || TcpStream::connect(address).await.is_err()).await;
}

async fn readers_do_not_hold_up_the_end_of_the_program(db: TestDb) {
    let pool = db.open(|config| config.watch_everything()).await;
    // Long texts, so that what a reader leaves unread fills all buffers between.
    for number in 0..100 {
        let column = "a".repeat(50);
        let columns: Vec<_> = (0..60).map(|place| format!("1 AS {column}{number}_{place}")).collect();
        pool.execute_unprepared(&format!("SELECT {}", columns.join(", "))).await.unwrap();
    }
    let mut lifecycle = Lifecycle::new();
    lifecycle.database("database", pool.clone(), PATIENCE);
    let server = page(&pool).serve().await.unwrap();
    let address = server.address();
    server.close_with(&mut lifecycle);
    let (mut reader, head) = ask(address, "/events", "localhost").await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    // One that asks again and again and reads nothing.
    let mut deaf = TcpStream::connect(address).await.unwrap();
    let asked = "GET /state HTTP/1.1\r\nhost: localhost\r\n\r\n".repeat(200);
    deaf.write_all(asked.as_bytes()).await.unwrap();
    reader.read_u8().await.unwrap();

    let report = timeout(PATIENCE, lifecycle.close()).await.expect("it ends");
    assert!(report.is_clean(), "{report}");
    let mut rest = Vec::new();
    timeout(PATIENCE, reader.read_to_end(&mut rest)).await.expect("the stream ends").unwrap();
    assert!(rest.ends_with(b"0\r\n\r\n"), "it ends as a stream should");
    let mut unread = Vec::new();
    let ended = timeout(PATIENCE, deaf.read_to_end(&mut unread)).await;
    assert!(ended.is_ok(), "the deaf one's connection has ended too");
    eventually("it listens no more", async || TcpStream::connect(address).await.is_err()).await;
}
