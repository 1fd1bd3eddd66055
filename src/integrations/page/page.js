
"use strict";
(() => {
  // ---- What is known ------------------------------------------------------------------------------------------------
  const base = location.pathname.replace(/\/$/, "");
  const token = new URLSearchParams(location.search).get("token");
  // The token is in a cookie by now; it does not belong into the history. Kept for browsers without cookies.
  if (location.search) history.replaceState(null, "", location.pathname + location.hash);
  const query = token ? "?token=" + encodeURIComponent(token) : "";

  const RANGES = [[60, "1 min"], [300, "5 min"], [600, "10 min"]];
  const chosen = new URLSearchParams(location.hash.slice(1));
  let figures = null, started = null, points = [], current = chosen.get("db"), paused = false, dirty = false;
  let range = RANGES.some(([seconds]) => seconds === Number(chosen.get("range"))) ? Number(chosen.get("range")) : 300;
  let skew = 0;

  // ---- Helpers ------------------------------------------------------------------------------------------------------
  const $ = id => document.getElementById(id);
  const element = (name, attributes = {}, ...children) => fill(document.createElement(name), attributes, children);
  const drawing = (name, attributes = {}, ...children) =>
    fill(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);
  function fill(node, attributes, children) {
    for (const [name, value] of Object.entries(attributes)) {
      if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
      else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value);
    }
    node.append(...children.filter(child => child !== null));
    return node;
  }
  // Only what has changed is touched: selections and screen readers stay undisturbed.
  function text(node, value) { if (node.textContent !== value) node.textContent = value; }
  function attribute(node, name, value) { if (node.getAttribute(name) !== value) node.setAttribute(name, value); }

  const number = value => value.toLocaleString("en", { maximumFractionDigits: 0 });
  function short(value) {
    if (value >= 1e9) return (value / 1e9).toFixed(1) + " G";
    if (value >= 1e6) return (value / 1e6).toFixed(1) + " M";
    if (value >= 1e5) return (value / 1e3).toFixed(0) + " k";
    return value >= 100 || Number.isInteger(value) ? number(value) : value.toFixed(1);
  }
  function time(milliseconds) {
    const [value, unit] = timeParts(milliseconds);
    return value + " " + unit;
  }
  function timeParts(ms) {
    const three = value => value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
    if (!(ms > 0)) return ["0", "ms"];
    if (ms < 0.9995) return [(ms * 1e3).toFixed(0), "µs"];
    if (ms < 999.5) return [three(ms), "ms"];
    if (ms < 120e3) return [three(ms / 1e3), "s"];
    if (ms < 7200e3) return [three(ms / 60e3), "min"];
    return [three(ms / 3600e3), "h"];
  }
  const clock = ms => new Date(ms).toLocaleTimeString("en-GB");
  const plural = (count, one, many = one + "s") => number(count) + " " + (count === 1 ? one : many);

  // Words of SQL, to be told from names at a glance.
  const WORDS = /("(?:[^"]|"")*"|`[^`]*`|'(?:[^']|'')*')|\b(SELECT|FROM|WHERE|AND|OR|NOT|NULL|IS|IN|AS|ON|BY|ASC|DESC|INSERT|INTO|VALUES|UPDATE|SET|DELETE|JOIN|LEFT|RIGHT|INNER|OUTER|CROSS|GROUP|ORDER|HAVING|LIMIT|OFFSET|RETURNING|BEGIN|COMMIT|ROLLBACK|SAVEPOINT|RELEASE|TO|WITH|UNION|ALL|DISTINCT|EXISTS|BETWEEN|LIKE|CASE|WHEN|THEN|ELSE|END|CREATE|TABLE|INDEX|ALTER|DROP|IMMEDIATE|FOR|CONFLICT|DO|NOTHING|PRAGMA|COPY)\b|(\?|\$\d+)/gi;
  function sqlParts(sql) {
    const parts = [];
    let end = 0;
    for (const match of sql.matchAll(WORDS)) {
      if (match.index > end) parts.push(sql.slice(end, match.index));
      parts.push(element("span", { class: match[1] ? "q" : match[2] ? "k" : "v" }, match[0]));
      end = match.index + match[0].length;
    }
    parts.push(sql.slice(end));
    return parts;
  }

  // What tells a statement from others is behind its list of columns.
  const brief = sql => sql
    .replace(/^SELECT (?!\?)[^?]{48,}? FROM /, "SELECT … FROM ")
    .replace(/^(INSERT INTO \S+) \([^()]{32,}\)/, "$1 (…)")
    .replace(/ RETURNING .{32,}$/s, " RETURNING …");

  // ---- Tables -------------------------------------------------------------------------------------------------------
  const kinds = {
    number: { class: "number", show: value => short(value), zero: true },
    time: { class: "number", show: value => time(value), zero: true },
    bad: { class: "number", show: value => short(value), zero: true, mark: value => value > 0 },
    optional: { class: "number", show: value => value === null ? "–" : number(value) },
    when: { show: clock },
    error: { show: value => value ?? "", mark: value => Boolean(value) },
    plain: { show: value => value ?? "" },
  };

  class Table {
    constructor(id, { caption, columns, sort, descending = true, limit = 100 }) {
      this.columns = columns; this.sort = sort; this.descending = descending; this.limit = limit;
      this.rows = new Map(); this.open = new Set(); this.place = $(id); this.data = [];
      this.heads = columns.map(column => {
        const button = element("button", { type: "button", title: column.title, onclick: () => this.by(column) }, column.label);
        return element("th", { scope: "col", class: this.kind(column).class }, button);
      });
      this.body = element("tbody");
      this.empty = element("p", { class: "empty" });
      this.table = element("table", {}, element("caption", { class: "hidden" }, caption), element("thead", {}, element("tr", {}, ...this.heads)), this.body);
      this.place.append(this.table, this.empty);
      this.mark();
    }
    kind(column) { return kinds[column.kind] ?? {}; }
    by(column) {
      if (this.sort === column.key) this.descending = !this.descending;
      else { this.sort = column.key; this.descending = !["sql", "at", "name", "state"].includes(column.key); }
      this.mark();
      this.draw();
    }
    mark() {
      this.columns.forEach((column, place) => {
        if (column.key === this.sort) this.heads[place].setAttribute("aria-sort", this.descending ? "descending" : "ascending");
        else this.heads[place].removeAttribute("aria-sort");
      });
    }
    show(data, empty) {
      this.data = data;
      this.table.hidden = data.length === 0;
      this.empty.hidden = data.length > 0;
      if (data.length === 0) this.empty.replaceChildren(...[].concat(empty));
      this.draw();
    }
    draw() {
      const way = this.descending ? -1 : 1;
      const value = row => row[this.sort] ?? (typeof this.data[0]?.[this.sort] === "number" ? -1 : "");
      const compared = (a, b) => a < b ? -1 : a > b ? 1 : 0;
      const sorted = this.data.map((row, place) => [row, place]).sort(([a, i], [b, j]) => way * compared(value(a), value(b)) || i - j);
      const shown = sorted.slice(0, this.limit).map(([row]) => row);
      const focused = this.body.contains(document.activeElement) ? document.activeElement : null;
      const seen = new Set();
      let at = this.body.firstChild;
      for (const row of shown) {
        seen.add(row.id);
        let line = this.rows.get(row.id);
        if (!line) { line = this.line(row); this.rows.set(row.id, line); }
        this.update(line, row);
        if (line.node === at) at = at.nextSibling;
        else this.body.insertBefore(line.node, at);
      }
      for (const [id, line] of this.rows) if (!seen.has(id)) { line.node.remove(); this.rows.delete(id); }
      if (focused && focused !== document.activeElement && focused.isConnected) focused.focus({ preventScroll: true });
    }
    line(row) {
      const cells = this.columns.map(column => {
        if (column.kind === "sql") {
          const button = element("button", { type: "button", class: "sql", "aria-expanded": this.open.has(row.id), onclick: () => {
            // Text that is being selected is not to be folded away.
            if (this.open.has(row.id) && String(getSelection())) return;
            if (!this.open.delete(row.id)) this.open.add(row.id);
            button.setAttribute("aria-expanded", this.open.has(row.id));
            button.replaceChildren(...sqlParts(this.open.has(row.id) ? row.sql : brief(row.sql)));
          } }, ...sqlParts(this.open.has(row.id) ? row.sql : brief(row.sql)));
          return element("td", { class: "text" }, button);
        }
        if (column.kind === "place") return element("td", { class: "place" }, element("bdi"));
        if (column.kind === "badge") return element("td", {}, element("span"));
        if (column.share) return element("td", { class: "number share" }, element("span"), element("i"));
        return element("td", { class: this.kind(column).class });
      });
      return { node: element("tr", {}, ...cells), cells };
    }
    update(line, row) {
      this.columns.forEach((column, place) => {
        const cell = line.cells[place], kind = this.kind(column), value = row[column.key];
        if (column.kind === "sql") return;
        if (column.kind === "place") { text(cell.firstChild, value ?? ""); attribute(cell, "title", value ?? ""); return; }
        if (column.kind === "badge") { text(cell.firstChild, value); attribute(cell.firstChild, "class", "badge " + column.tone(row)); return; }
        text(column.share ? cell.firstChild : cell, kind.show ? kind.show(value) : String(value));
        if (column.share) cell.lastChild.style.width = `calc(${(100 * row.share).toFixed(1)}% - ${(20 * row.share).toFixed(1)}px)`;
        if (kind.zero) cell.classList.toggle("zero", !value);
        if (kind.mark) cell.classList.toggle("red", kind.mark(value));
      });
    }
  }

  const tables = {
    statements: new Table("statements-table", { caption: "Statements by fingerprint", sort: "total", limit: 50, columns: [
      { key: "sql", label: "Statement", kind: "sql" },
      { key: "calls", label: "Calls", kind: "number" },
      { key: "total", label: "Total", kind: "time", share: true, title: "Time in the database, in all; the line is its share" },
      { key: "mean", label: "Mean", kind: "time" },
      { key: "p95", label: "p95", kind: "time", title: "95 of 100 took at most this long" },
      { key: "p99", label: "p99", kind: "time", title: "99 of 100 took at most this long" },
      { key: "max", label: "Max", kind: "time" },
      { key: "wait", label: "Wait", kind: "time", title: "Time waited for connections, in all" },
      { key: "rows", label: "Rows", kind: "number" },
      { key: "errors", label: "Errors", kind: "bad" },
      { key: "cancelled", label: "Cancelled", kind: "number" },
      { key: "at", label: "Slowest at", kind: "place" },
    ] }),
    slow: new Table("slow-table", { caption: "Slow statements", sort: "when", columns: [
      { key: "when", label: "Ended", kind: "when" },
      { key: "execute", label: "In the database", kind: "time" },
      { key: "wait", label: "Waited", kind: "time", title: "For a connection, before" },
      { key: "rows", label: "Rows", kind: "optional" },
      { key: "error", label: "Failure", kind: "error" },
      { key: "session", label: "Session", kind: "optional" },
      { key: "sql", label: "Statement", kind: "sql" },
      { key: "at", label: "From", kind: "place" },
    ] }),
    repeated: new Table("repeated-table", { caption: "Queries that one session repeats", sort: "count", columns: [
      { key: "count", label: "Times", kind: "number", title: "The most that one session has sent" },
      { key: "sessions", label: "Sessions", kind: "number", title: "How many sessions sent more than the limit" },
      { key: "sql", label: "Statement", kind: "sql" },
      { key: "at", label: "From", kind: "place" },
    ] }),
    alerts: new Table("alerts-table", { caption: "Alerts that fired or were resolved", sort: "when", columns: [
      { key: "when", label: "When", kind: "when" },
      { key: "state", label: "State", kind: "badge", tone: row => row.state === "firing" ? row.severity : "resolved" },
      { key: "name", label: "Alert", kind: "plain" },
      { key: "shown", label: "Value", kind: "plain" },
      { key: "limit", label: "Threshold", kind: "plain" },
      { key: "lasted", label: "Lasted", kind: "time" },
    ] }),
    holders: new Table("holders-table", { caption: "Connections that are out", sort: "held", columns: [
      { key: "held", label: "For", kind: "time" },
      { key: "count", label: "Connections", kind: "number" },
      { key: "at", label: "Taken at", kind: "place" },
    ] }),
  };

  // ---- Charts -------------------------------------------------------------------------------------------------------
  const HEIGHT = 168, LEFT = 46, RIGHT = 6, TOP = 10, BOTTOM = 22;
  const perSecond = key => point => point[key] * 1000 / point.lasted;
  const when = (get, is) => point => is(point) ? get(point) : null;

  class Chart {
    constructor({ title, series, unit, log = false, least = 1, limits = () => [] }) {
      Object.assign(this, { title, series, unit, log, least, limits, cursor: null, width: 0, points: [] });
      this.values = series.map(() => element("b"));
      const legend = series.map((one, place) => element("span", {}, element("i", { class: "c-" + one.color }), one.label, this.values[place]));
      this.moment = element("span", { class: "note" });
      this.svg = drawing("svg", { role: "img", tabindex: 0, "aria-label": title, onpointermove: event => this.point(event),
        onpointerleave: () => this.move(null), onkeydown: event => this.key(event), onblur: () => this.move(null) });
      this.node = element("div", { class: "chart" },
        element("div", { class: "top" }, element("h2", {}, title), this.moment, element("div", { class: "legend" }, ...legend)), this.svg);
      $("charts").append(this.node);
      new ResizeObserver(() => { this.width = this.svg.clientWidth; this.draw(); }).observe(this.svg);
    }
    show(points, now, pool) { this.points = points; this.now = now; this.pool = pool; this.draw(); }
    x(at) { return LEFT + (this.width - LEFT - RIGHT) * (1 - (this.now - at) / (range * 1000)); }
    draw() {
      if (!this.width || !this.now) return;
      const from = this.now - range * 1000;
      const shown = this.points.filter(point => point.at >= from);
      const limits = this.pool ? this.limits(this.pool) : [];
      const all = shown.flatMap(point => this.series.map(one => one.get(point))).filter(value => value !== null && value > 0);
      const y = this.log ? this.logScale(all) : this.linearScale(Math.max(this.least, ...all, ...limits));
      const parts = [];
      for (const tick of y.ticks) {
        const at = Math.round(y.of(tick));
        parts.push(drawing("line", { class: "grid", x1: LEFT, x2: this.width - RIGHT, y1: at, y2: at }),
          drawing("text", { class: "axis", x: LEFT - 7, y: at + 4, "text-anchor": "end" }, this.unit(tick, true)));
      }
      const step = range <= 60 ? 15 : range <= 300 ? 60 : 120;
      const roomy = this.width > 420 ? 1 : 2;
      for (let at = Math.ceil(from / 1000 / step) * step * 1000; at <= this.now; at += step * 1000 * roomy) {
        const x = this.x(at);
        if (x < LEFT + 12 || x > this.width - 20) continue;
        parts.push(drawing("text", { class: "axis", x, y: HEIGHT - 5, "text-anchor": "middle" }, clock(at).slice(0, step < 60 ? 8 : 5)));
      }
      for (const limit of limits) {
        const at = Math.round(y.of(limit));
        parts.push(drawing("line", { class: "limit", x1: LEFT, x2: this.width - RIGHT, y1: at, y2: at }));
      }
      for (const one of this.series) parts.push(...this.lines(one, shown, y));
      const place = this.cursor === null ? null : this.nearest(this.cursor);
      if (place) parts.push(drawing("line", { class: "cursor", x1: this.x(place.at), x2: this.x(place.at), y1: TOP, y2: HEIGHT - BOTTOM }));
      this.svg.setAttribute("viewBox", `0 0 ${this.width} ${HEIGHT}`);
      const clipped = drawing("g", {}, ...parts);
      this.svg.replaceChildren(clipped);
      const told = place ?? this.points.at(-1);
      text(this.moment, place ? clock(place.at) : "");
      this.series.forEach((one, number) => {
        const value = told ? one.get(told) : null;
        text(this.values[number], value === null ? "–" : this.unit(value));
      });
      attribute(this.svg, "aria-label", this.title + ": " + this.series.map((one, number) => one.label + " " + this.values[number].textContent).join(", "));
    }
    lines(one, points, y) {
      const runs = [];
      let run = null, last = null;
      for (const point of points) {
        const value = one.get(point);
        if (value === null) { run = null; continue; }
        // Where nothing is known, nothing is drawn.
        if (!run || point.at - last > point.lasted + 2500) runs.push(run = []);
        run.push([this.x(point.at), y.of(value)]);
        last = point.at;
      }
      const path = run => run.map(([x, at], place) => (place ? "L" : "M") + x.toFixed(1) + " " + at.toFixed(1)).join("");
      const floor = (HEIGHT - BOTTOM).toFixed(1);
      const drawn = [];
      for (const run of runs) {
        if (run.length === 1) run.push([run[0][0] + 1.5, run[0][1]]);
        if (one.area) drawn.push(drawing("path", { class: "area c-" + one.color, d: `${path(run)}L${run.at(-1)[0].toFixed(1)} ${floor}L${run[0][0].toFixed(1)} ${floor}Z` }));
        drawn.push(drawing("path", { class: "series c-" + one.color, d: path(run) }));
      }
      return drawn;
    }
    linearScale(most) {
      const raw = most / 4, power = 10 ** Math.floor(Math.log10(raw));
      let step = [1, 2, 5, 10].map(times => times * power).find(step => step >= raw);
      if (step < 1) step = this.least < 1 ? step : 1;
      const top = Math.ceil(most / step) * step;
      const ticks = Array.from({ length: Math.round(top / step) + 1 }, (_, place) => place * step);
      return { ticks, of: value => HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * value / top };
    }
    logScale(values) {
      const low = Math.floor(Math.log10(Math.max(0.001, Math.min(0.1, ...values))));
      const high = Math.max(low + 2, Math.ceil(Math.log10(Math.max(1, ...values))));
      const ticks = Array.from({ length: high - low + 1 }, (_, place) => 10 ** (low + place));
      const of = value => HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * (Math.max(low, Math.min(high, Math.log10(value))) - low) / (high - low);
      return { ticks: ticks.length > 6 ? ticks.filter((_, place) => place % 2 === 0) : ticks, of };
    }
    nearest(at) {
      let best = null;
      for (const point of this.points) if (!best || Math.abs(point.at - at) < Math.abs(best.at - at)) best = point;
      return best;
    }
    point(event) {
      const share = (event.clientX - this.svg.getBoundingClientRect().left - LEFT) / (this.width - LEFT - RIGHT);
      this.move(this.now - range * 1000 * (1 - share));
    }
    key(event) {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (event.key === "Escape") this.move(null);
      if (!step || !this.points.length) return;
      event.preventDefault();
      const place = this.cursor === null ? this.points.length - 1 : this.points.indexOf(this.nearest(this.cursor)) + step;
      this.move(this.points[Math.max(0, Math.min(this.points.length - 1, place))].at);
    }
    // The charts show the same time: one cursor for all.
    move(at) { for (const chart of charts) { chart.cursor = at; chart.draw(); } }
  }

  const any = point => point.statements > 0;
  const charts = [
    new Chart({ title: "Connections", unit: value => number(value), limits: pool => [pool.pool_size, pool.pool_size + pool.max_overflow], series: [
      { label: "open", color: "idle", area: true, get: point => point.used + point.idle },
      { label: "in use", color: "blue", area: true, get: point => point.used },
      { label: "waiting", color: "amber", get: point => point.waiting },
    ] }),
    new Chart({ title: "Latency of statements", log: true, unit: (value, axis) => axis ? tick(value) : time(value), series: [
      { label: "max", color: "violet", get: when(point => point.execute[2], any) },
      { label: "p95", color: "blue", get: when(point => point.execute[1], any) },
      { label: "median", color: "teal", get: when(point => point.execute[0], any) },
    ] }),
    new Chart({ title: "Statements per second", unit: value => short(value), series: [
      { label: "sent", color: "blue", area: true, get: perSecond("statements") },
      { label: "failed", color: "red", area: true, get: perSecond("errors") },
      { label: "slow", color: "amber", get: perSecond("slow") },
    ] }),
    new Chart({ title: "Wait for a connection", log: true, unit: (value, axis) => axis ? tick(value) : time(value), series: [
      { label: "max", color: "violet", get: when(point => point.wait[2], point => point.wait[2] > 0) },
      { label: "p95", color: "blue", get: when(point => point.wait[1], point => point.wait[1] > 0) },
      { label: "median", color: "teal", get: when(point => point.wait[0], point => point.wait[0] > 0) },
    ] }),
  ];
  function tick(ms) { return ms < 0.9 ? Math.round(ms * 1000) + " µs" : ms < 900 ? Math.round(ms) + " ms" : Math.round(ms / 1000) + " s"; }

  // ---- The page -----------------------------------------------------------------------------------------------------
  const code = words => element("code", {}, words);
  const off = setting => ["Switched off: ", code("DatabaseConfig::" + setting), " switches it on."];
  const signals = {
    pool_usage: value => (100 * value).toFixed(0) + " %", error_rate: value => (100 * value).toFixed(1) + " %",
    longest_wait: value => time(1000 * value), longest_statement: value => time(1000 * value),
  };
  const signal = (alert, value) => value === null || value === undefined ? "–" : (signals[alert.signal] ?? short)(value);

  function choices(place, options, selected, choose) {
    if (place.childElementCount !== options.length) {
      place.replaceChildren(...options.map(() => element("button", { type: "button" })));
      [...place.children].forEach((button, at) => button.addEventListener("click", () => choose(place.options[at][0])));
    }
    place.options = options;
    options.forEach(([key, label, small], at) => {
      const button = place.children[at];
      if (button.label !== label) button.replaceChildren(label, ...(small ? [element("small", {}, small)] : []));
      button.label = label;
      attribute(button, "aria-pressed", String(key === selected));
    });
  }
  function remember() {
    const parts = new URLSearchParams();
    if (figures && figures.databases.length > 1) parts.set("db", current);
    parts.set("range", range);
    history.replaceState(null, "", location.pathname + "#" + parts);
  }

  function draw() {
    dirty = false;
    if (!figures) return;
    const names = figures.databases.map(database => database.name);
    if (!names.includes(current)) current = names[0];
    choices($("databases"), figures.databases.map(({ name, system }) => [name, name, system]), current, name => { current = name; remember(); draw(); });
    choices($("ranges"), RANGES, range, seconds => { range = seconds; remember(); draw(); });
    const database = figures.databases.find(({ name }) => name === current);
    text($("footer"), `sea-dao ${figures.version}, page up for ${time(1000 * figures.uptime_seconds)}. Times are in the zone of this browser. SQL is shown without its values.`);
    if (!database) return;
    document.title = current + " · sea-dao";
    const now = Date.now() - skew;
    const known = points[names.indexOf(current)] ?? [];
    tiles(database, known, now);
    for (const chart of charts) chart.show(known, now, database.pool);
    lists(database);
    firing(database);
    counters(database);
  }

  function tiles({ pool, counters, usage, history, slow }, known, now) {
    const most = pool.pool_size + pool.max_overflow;
    const percent = part => (100 * part / most).toFixed(2) + "%";
    const tone = (node, level) => node.closest(".tile").setAttribute("class", node.closest(".tile").className.split(" ").filter(name => name !== "warn" && name !== "bad").concat(level ?? []).join(" "));
    text($("used"), number(pool.checked_out));
    text($("capacity"), `of ${number(most)}, ${(100 * usage).toFixed(0)} %`);
    tone($("used"), usage > 0.9 ? "bad" : usage > 0.8 ? "warn" : null);
    const [used, idle, base] = $("meter").children;
    used.style.width = percent(pool.checked_out);
    idle.style.width = percent(pool.idle);
    base.style.width = pool.max_overflow ? percent(pool.pool_size) : "0";
    base.hidden = !pool.max_overflow;
    attribute($("meter"), "aria-label", `${pool.checked_out} in use, ${pool.idle} idle, at most ${most}`);
    text($("pool-hint"), pool.closed ? "closed" : `${pool.idle} idle, ${pool.overflow} overflow, ${pool.connecting} connecting, ${pool.closing} closing`);
    text($("waiting"), number(pool.waiting));
    text($("waiting-hint"), `${plural(counters.timeouts, "timeout")} in all`);
    tone($("waiting"), pool.waiting > 0 ? "warn" : null);
    const within = seconds => known.filter(point => point.at > now - 1000 * seconds);
    const sum = (list, key) => list.reduce((sum, point) => sum + point[key], 0);
    const [few, minute, all] = [within(6), within(61), within(range)];
    const unknown = !history;
    const rate = few.length ? 1000 * sum(few, "statements") / sum(few, "lasted") : 0;
    text($("rate"), unknown ? "–" : short(rate >= 10 ? Math.round(rate) : Math.round(rate * 10) / 10));
    text($("rate-hint"), unknown ? "no history" : `${short(sum(all, "statements"))} in ${range / 60} min`);
    const busy = few.filter(any);
    const [latency, unit] = timeParts(busy.reduce((sum, point) => sum + point.execute[1] * point.statements, 0) / Math.max(1, sum(busy, "statements")));
    text($("latency"), busy.length ? latency : "–");
    text($("latency-unit"), busy.length ? unit : "");
    text($("latency-hint"), all.length ? `max ${time(Math.max(...all.map(point => point.execute[2])))} in ${range / 60} min` : "");
    const failed = sum(all, "errors"), sent = sum(all, "statements");
    const share = sent ? 100 * failed / sent : 0;
    text($("failures"), unknown ? "–" : share === 0 ? "0" : share < 0.01 ? "<0.01" : share.toFixed(share < 10 ? 2 : 0));
    text($("failures-hint"), `${number(failed)} in ${range / 60} min`);
    tone($("failures"), share > 5 ? "bad" : share > 1 ? "warn" : null);
    const slowNow = sum(minute, "slow");
    text($("slow-rate"), unknown ? "–" : number(slowNow));
    text($("slow-hint"), `at least ${time(slow.threshold)}`);
    tone($("slow-rate"), slowNow > 10 ? "bad" : slowNow > 0 ? "warn" : null);
  }

  function lists({ statements, slow, repeated, alerts, holders }) {
    const wanted = $("filter").value.trim().toLowerCase();
    const longest = Math.max(1e-9, ...statements.list.map(row => row.total));
    const fits = row => !wanted || row.sql.toLowerCase().includes(wanted) || (row.at ?? "").toLowerCase().includes(wanted);
    const found = statements.list.filter(fits).map(row => ({ ...row, share: row.total / longest }));
    tables.statements.show(found, !statements.on ? off("statement_statistics") : wanted ? "None of the statements has this." : "No statement was sent yet.");
    const dropped = statements.dropped.calls ? `, ${number(statements.dropped.calls)} of them no longer listed` : "";
    text($("statements-note"), statements.on ? `${plural(statements.fingerprints, "kind")}, ${plural(statements.calls, "call")}${dropped}` : "");
    tables.slow.show(slow.list, slow.on ? `None so far took ${time(slow.threshold)}.` : off("history"));
    text($("slow-note"), slow.list.length ? `the last ${number(slow.list.length)} of at least ${time(slow.threshold)}` : "");
    tables.repeated.show(repeated.list, repeated.on ? `No session sent the same query more than ${plural(repeated.limit, "time")}.` : off("n_plus_one"));
    text($("repeated-note"), repeated.on ? `the same query more than ${plural(repeated.limit, "time")} in one session: one for all might do` : "");
    const past = alerts.past.map(row => ({ ...row, shown: signal(row, row.value), limit: signal(row, row.threshold) }));
    tables.alerts.show(past, alerts.on ? "Nothing has fired." : off("alerts"));
    text($("alerts-note"), alerts.on ? `${plural(alerts.rules, "rule")}, ${number(alerts.firing.length)} firing` : "");
    const places = new Map();
    for (const { at, held } of holders) {
      const place = places.get(at) ?? { id: at, at, held: 0, count: 0 };
      places.set(at, { ...place, held: Math.max(place.held, held), count: place.count + 1 });
    }
    tables.holders.show([...places.values()], "All connections are in the pool.");
    text($("holders-note"), holders.length ? "by the line that took them, the longest first" : "");
  }

  function firing({ alerts }) {
    const place = $("firing");
    const wanted = alerts.firing.map(alert => alert.name);
    if (JSON.stringify(place.names ?? []) !== JSON.stringify(wanted)) {
      place.names = wanted;
      place.replaceChildren(...alerts.firing.map(alert =>
        element("div", { class: "alert", "data-severity": alert.severity }, element("b", {}, alert.name), element("span", { "aria-live": "off" }))));
    }
    alerts.firing.forEach((alert, at) =>
      text(place.children[at].lastChild, `${signal(alert, alert.value)}, above ${signal(alert, alert.threshold)}, for ${time(alert.lasted)}`));
  }

  function counters({ counters }) {
    const closed = counters.closed.filter(({ count }) => count > 0);
    const rows = [
      ["Opened", counters.opened], ["Checkouts", counters.checkouts], ["Timeouts", counters.timeouts],
      ["Invalidations", counters.invalidations], ["Leaks reported", counters.leaks],
      ...closed.map(({ reason, count }) => ["Closed: " + reason, count]),
      ["Wait, p95", time(counters.wait.p95)], ["Wait, max", time(counters.wait.max)],
      ["Out, mean", time(counters.usage.mean)], ["Out, p95", time(counters.usage.p95)], ["Out, max", time(counters.usage.max)],
    ];
    const place = $("counters-list");
    while (place.childElementCount > rows.length) place.lastChild.remove();
    rows.forEach(([name, value], at) => {
      const row = place.children[at] ?? place.appendChild(element("div", {}, element("dt"), element("dd")));
      text(row.firstChild, name);
      text(row.lastChild, typeof value === "number" ? number(value) : value);
      row.lastChild.classList.toggle("zero", value === 0);
    });
  }

  // ---- Events -------------------------------------------------------------------------------------------------------
  function live(state, words) { attribute($("live"), "data-state", state); text($("live").lastChild, words); }
  function changed() {
    if (paused || dirty) return;
    dirty = true;
    requestAnimationFrame(draw);
  }
  function heard() { if (!paused) live("live", "live"); }
  const MOST = 3600;
  let silence;
  function listen() {
    const events = new EventSource(base + "/events" + query);
    events.addEventListener("figures", event => {
      figures = JSON.parse(event.data);
      // Another process has begun anew.
      if (started !== figures.started) { started = figures.started; points = []; }
      skew = Date.now() - figures.now;
      heard();
      clearTimeout(silence);
      silence = setTimeout(() => live("lost", "no answer"), 5000);
      changed();
    });
    events.addEventListener("points", event => {
      JSON.parse(event.data).forEach((list, at) => {
        const known = points[at] ??= [];
        const last = known.at(-1)?.number ?? 0;
        for (const [number, when, lasted, statements, errors, cancelled, slow, timeouts, execute, wait, used, idle, waiting] of list) {
          if (number > last) known.push({ number, at: when, lasted: Math.max(1, lasted), statements, errors, cancelled, slow, timeouts, execute, wait, used, idle, waiting });
        }
        known.splice(0, Math.max(0, known.length - MOST));
      });
      changed();
    });
    events.onerror = () => {
      // After an answer that is no stream, the browser does not try again by itself.
      if (events.readyState === EventSource.CLOSED) { live("lost", "no answer"); setTimeout(listen, 2000); }
    };
  }
  $("filter").addEventListener("input", draw);
  $("pause").addEventListener("click", () => {
    paused = !paused;
    attribute($("pause"), "aria-pressed", String(paused));
    text($("pause"), paused ? "Go on" : "Pause");
    if (paused) live("paused", "paused");
    else { heard(); changed(); }
  });
  choices($("ranges"), RANGES, range, seconds => { range = seconds; remember(); draw(); });
  listen();
})();
