// Domicile's directory service for JavaScript (Node 18 or later, Deno, Bun): where each user's data lives. Needs nothing but
// this file. Homes are kept with their epochs, which only grow, and asked for again when the application at a home
// says that somebody has moved. Copy the file; docs/directory-service.md is the guide. Not for browsers: the token is a secret.

/** The directory said no: `status` (HTTP), `code` (a stable word, e.g. `taken`), and why. */
export class Refused extends Error {
  constructor(status, code, why) {
    super(`${code}: ${why}`);
    Object.assign(this, { status, code });
  }
}

export class Domicile {
  #base; #token; #timeoutMs; #homesMax; #homes = new Map();

  constructor(url, token, { service = "main", timeoutMs = 10_000, homesMax = 100_000 } = {}) {
    this.#base = `${url}/v1/services/${encodeURIComponent(service)}/`;
    [this.#token, this.#timeoutMs, this.#homesMax] = [token, timeoutMs, homesMax];
  }

  /** The home as far as it is known here, else as the directory says: `{ region, epoch, endpoint }`. */
  async home(subject) {
    return this.#homes.get(subject) ?? this.refresh(subject);
  }

  /** The home as the directory says; with `waitS` (at most 60) as soon as it is another than the one known here. */
  async refresh(subject, waitS = 0) {
    const known = this.#homes.get(subject);
    const headers = known ? { "If-None-Match": `"${known.epoch}"` } : {};
    const path = `homes/${encodeURIComponent(subject)}?wait=${known ? waitS : 0}`;
    try {
      const answer = await this.#ask("GET", path, undefined, headers, waitS);
      return answer ? this.#keep(subject, answer) : known;
    } catch (no) {
      if (no.code === "unknown-home") this.#homes.delete(subject);
      throw no;
    }
  }

  /** A new subject's home, before its first row is written. `country` is where the person lives, by the account. */
  async signUp(subject, country, more = {}) {
    return this.#keep(subject, await this.#ask("POST", "homes", { ...more, subject, country }));
  }

  /** `step`: resolve, reserve, commit, release; `more`: subject, attempt, seconds. */
  claim(step, kind, value, more = {}) {
    return this.#ask("POST", `claims/${step}`, { ...more, kind, value });
  }

  /** `send(home)` until `moved(answer)` is false: an application that had no effect says so (421, RS001). */
  async atHome(subject, send, moved, tries = 5) {
    let answer;
    for (let n = 0; n < tries; n++) {
      answer = await send(await this.home(subject));
      if (!(await moved(answer))) break;
      await this.refresh(subject, 2);
    }
    return answer;
  }

  #keep(subject, home) {
    const known = this.#homes.get(subject);
    const newest = known && known.epoch > home.epoch ? known : home;
    this.#homes.delete(subject);
    this.#homes.set(subject, newest);
    if (this.#homes.size > this.#homesMax) this.#homes.delete(this.#homes.keys().next().value);
    return newest;
  }

  async #ask(method, path, body, headers = {}, waitS = 0) {
    const answer = await fetch(this.#base + path, {
      method,
      headers: { Authorization: `Bearer ${this.#token}`, "Content-Type": "application/json", ...headers },
      body: body && JSON.stringify(body),
      signal: AbortSignal.timeout(this.#timeoutMs + waitS * 1000),
    });
    const text = await answer.text();
    if (answer.status === 304) return null;
    if (answer.ok) return text ? JSON.parse(text) : null;
    let problem = { code: "no-problem", title: answer.statusText };
    try { problem = { ...problem, ...JSON.parse(text) }; } catch { /* not ours: a proxy's page */ }
    throw new Refused(answer.status, problem.code, problem.detail ?? problem.title);
  }
}
