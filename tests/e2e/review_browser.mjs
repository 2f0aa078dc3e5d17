// The rating page in a real browser. Run by review_test.py, which says in the environment where things are. Prints each scenario; the first
// failure ends it with 1.
import assert from "node:assert/strict";
import {execFileSync, spawn} from "node:child_process";
import fs from "node:fs";
import path from "node:path";

import {launch} from "./browser.mjs";

const {MELLOW, FOLDER, ARMS} = process.env;
const [BASELINE, ARM] = ARMS.split(",");
const QUESTIONS = ["readability_first", "coherence_first", "readability_second", "coherence_second", "preference", "more_offensive"];
const TIMEOUT_MS = 20000;
const cleanups = [];

const mellow = (...args) => execFileSync(MELLOW, ["review", ...args], {encoding: "utf8"});
const jsonLines = (text) => text.split("\n").filter((line) => line !== "").map((line) => JSON.parse(line));

async function until(what, condition) {
  const deadline = Date.now() + TIMEOUT_MS;
  for (;;) {
    if (await condition()) return;
    assert(Date.now() < deadline, `not within ${TIMEOUT_MS} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 30));
  }
}

// ---- a study with its server

class Study {
  constructor(name, evaluation, ...flags) {
    this.file = path.join(FOLDER, `${name}.sqlite`);
    this.invited = jsonLines(mellow("new", path.join(FOLDER, evaluation), "--out", this.file, "--json", "--url", "", ...flags));
    this.address = "127.0.0.1:0";
    this.log = "";
  }
  async start() {
    const program = path.join(path.dirname(MELLOW), "mellow_review_server");
    this.server = spawn(program, ["--study", this.file, "--address", this.address, "--log-level", "debug"], {stdio: ["ignore", "ignore", "pipe"]});
    cleanups.push(() => this.server.kill("SIGKILL"));
    let started = "";
    this.server.stderr.on("data", (bytes) => { this.log += bytes; started += bytes; });
    await until("the server serves", () => {
      assert(this.server.exitCode === null, started);
      return started.includes('"message":"serving"');
    });
    this.address = /"address":"([^"]+)"/.exec(started)[1];
    return this;
  }
  async stop(signal) {
    const ended = new Promise((resolve) => this.server.once("exit", resolve));
    this.server.kill(signal);
    await ended;
  }
  link(person = 0) { return `http://${this.address}${this.invited[person].link}`; }
  token(person = 0) { return this.invited[person].link.slice(-32); }
  // position -> exported record of a person
  stored(person = 0) {
    const mine = jsonLines(mellow("export", this.file, "--format", "jsonl", "--texts")).filter((row) => row.annotator === this.invited[person].annotator);
    return Object.fromEntries(mine.map((row) => [row.position, row]));
  }
}

// An exported record in the terms of the page.
function asShown(row) {
  const [first, second] = row.first === "arm" ? ["arm", "baseline"] : ["baseline", "arm"];
  const sides = {[first]: 1, [second]: 2, tie: 0, neither: 0};
  return {readability_first: row[`readability_${first}`], readability_second: row[`readability_${second}`], coherence_first: row[`coherence_${first}`],
    coherence_second: row[`coherence_${second}`], preference: row.preference === null ? null : sides[row.preference],
    more_offensive: row.more_offensive === null ? null : sides[row.more_offensive], first: row[`summary_${first}`], second: row[`summary_${second}`]};
}

// ---- a person with the page

const browser = await launch();
cleanups.push(() => browser.close());

class Person {
  constructor(study, number) {
    this.study = study;
    this.number = number;
  }
  static async open(study, number = 0, options = {}) {
    const person = new Person(study, number);
    person.context = await browser.newContext(options);
    person.tab = await person.newTab();
    return person;
  }
  async newTab() {
    const tab = await this.context.newPage();
    tab.setDefaultTimeout(TIMEOUT_MS);
    // Whatever a page must never do.
    tab.on("pageerror", (error) => assert.fail(`exception in the page: ${error.message}`));
    tab.on("dialog", (dialog) => { if (dialog.type() !== "beforeunload") assert.fail(`a dialog: ${dialog.message()}`); });
    tab.on("console", (message) => { if (!/Failed to load resource/.test(message.text())) assert.fail(`console: ${message.text()}`); });
    tab.on("request", (request) => {
      assert.equal(new URL(request.url()).host, this.study.address, "a request to somebody else");
      assert.equal(request.headers().referer || "", "", "the address, with its token, was passed on");
    });
    await tab.goto(this.study.link(this.number));
    const shown = "#item:not([hidden]), #done:not([hidden]), #notice:not([hidden])";
    await tab.waitForSelector(`${shown}, #warning:not([hidden])`);
    // The warning comes first, once in a browser; nothing of the study is shown before it is answered.
    if (await tab.locator("#warning").isVisible()) {
      assert.equal(await tab.locator("#item").isVisible(), false);
      assert.equal(this.warned, undefined, "warned twice");
      this.warned = true;
      await tab.keyboard.press("Enter");
    }
    await tab.waitForSelector(shown);
    return tab;
  }
}

const choice = (tab, question, value) => tab.locator(`fieldset[data-question=${question}] input[value="${value}"]`);
const choose = (tab, question, value) => choice(tab, question, value).check();
const checked = (tab) => tab.evaluate(() => Object.fromEntries([...document.querySelectorAll("input[type=radio]:checked")].map((input) => [input.name, Number(input.value)])));
const text = (tab, selector) => tab.locator(selector).textContent();
const saved = (tab) => until("all answers are saved", async () => (await tab.locator("#save-state").getAttribute("data-state")) === "saved");
const title = (tab, wanted) => until(`the page shows ${wanted}`, async () => (await text(tab, "#item-title")) === wanted && (await tab.title()) === wanted);
const state = (tab, wanted) => until(`the state is ${wanted}`, async () => (await tab.locator("#save-state").getAttribute("data-state")) === wanted);
const valueAt = (position, index) => index === 4 ? position % 3 : index === 5 ? (position + 1) % 3 : 1 + (position + index) % 5;

// ---- scenarios

const scenarios = {
  async "two people rate everything, one with the keyboard alone"() {
    const study = await new Study("two", "mini.json", "--names", "Ada", "Grace", "--overlap", "0.34").start();
    const ada = (await Person.open(study, 0)).tab;
    const grace = (await Person.open(study, 1)).tab;
    const count = 4;  // two that both have, and half of the four others
    for (let position = 0; position < count; ++position) {
      await title(ada, `Dialogue ${position + 1} of ${count}`);
      for (const [index, question] of QUESTIONS.entries()) await choose(ada, question, valueAt(position, index));
      await saved(ada);
      await ada.click("#next");

      await title(grace, `Dialogue ${position + 1} of ${count}`);
      for (const index of [0, 1, 2, 3]) await grace.keyboard.press(String(valueAt(position, index)));
      await grace.keyboard.press({0: "t", 1: "a", 2: "b"}[valueAt(position, 4)]);
      await grace.keyboard.press({0: "w", 1: "q", 2: "e"}[valueAt(position, 5)]);
      await saved(grace);
      await grace.keyboard.press("n");
    }
    for (const [person, tab] of [ada, grace].entries()) {
      await tab.waitForSelector("#done:not([hidden])");
      assert.equal(await text(tab, "#done-count"), `${count} of ${count} done`);
      const rows = study.stored(person);
      assert.equal(Object.keys(rows).length, count);
      for (let position = 0; position < count; ++position) {
        const shown = asShown(rows[position]);
        assert(rows[position].complete);
        for (const [index, question] of QUESTIONS.entries()) assert.equal(shown[question], valueAt(position, index), `${person} ${position} ${question}`);
      }
    }
    // What was shown first is what the export calls first.
    await ada.click("#again");
    await title(ada, `Dialogue 1 of ${count}`);
    assert.equal(await text(ada, "#first"), asShown(study.stored(0)[0]).first);
    assert.equal(await text(ada, "#second"), asShown(study.stored(0)[0]).second);
    const summary = JSON.parse(mellow("summary", study.file, "--json"));
    assert.equal(summary.judgements, 2 * count);
    assert.equal(summary.judged_items, 6);
    assert.equal(summary.preference.agreement.units, 2);
    assert.match(mellow("summary", study.file), /8 of 8 judgments by 2 of 2 people/);
    // Exactly the keys of a keyboard: Tab reaches every question, arrows and space answer it.
    const keys = (await Person.open(await new Study("tab", "mini.json", "--annotators", "1").start())).tab;
    await title(keys, "Dialogue 1 of 6");
    await keys.locator("#shortcuts").uncheck();
    await keys.locator("#item-title").focus();
    for (const question of QUESTIONS) {
      await keys.keyboard.press("Tab");
      assert.equal(await keys.evaluate(() => document.activeElement.name), question);
      await keys.keyboard.press("5");  // the shortcuts are off
      await keys.keyboard.press("Space");
      await keys.keyboard.press("ArrowRight");
    }
    assert.deepEqual(await checked(keys), {readability_first: 2, coherence_first: 2, readability_second: 2, coherence_second: 2, preference: 0, more_offensive: 0});
    await keys.keyboard.press("Tab");
    await keys.keyboard.press("Enter");
    await title(keys, "Dialogue 2 of 6");
  },

  async "a reload in the middle goes on where one left"() {
    const study = await new Study("reload", "mini.json", "--annotators", "1").start();
    const {tab} = await Person.open(study);
    await title(tab, "Dialogue 1 of 6");
    for (const question of QUESTIONS) await choose(tab, question, 1);
    await tab.click("#next");
    await title(tab, "Dialogue 2 of 6");
    await choose(tab, "coherence_second", 4);
    await choose(tab, "readability_first", 2);
    await saved(tab);
    const before = await text(tab, "#dialogue");
    await tab.reload();
    await title(tab, "Dialogue 2 of 6");
    assert.deepEqual(await checked(tab), {readability_first: 2, coherence_second: 4});
    assert.equal(await text(tab, "#dialogue"), before);
    assert.equal(await text(tab, "#done-count"), "1 of 6 done");
    // Another device goes on there too, and answers can be changed.
    const other = (await Person.open(study)).tab;
    await title(other, "Dialogue 2 of 6");
    await other.click("#previous");
    await title(other, "Dialogue 1 of 6");
    await choose(other, "preference", 0);
    await saved(other);
    assert.equal(asShown(study.stored()[0]).preference, 0);
  },

  async "no access without a token that works"() {
    const study = await new Study("access", "mini.json", "--annotators", "2").start();
    const get = async (where, options) => {
      const response = await fetch(`http://${study.address}${where}`, options);
      const headers = Object.fromEntries(response.headers);
      delete headers.date;
      return {status: response.status, body: await response.text(), headers};
    };
    const open = (await Person.open(study, 0)).tab;
    await choose(open, "preference", 2);
    await saved(open);
    mellow("revoke", study.file, "annotator-1");
    const unknown = "0".repeat(32);
    for (const rest of ["", "/study", "/items/0"]) {
      const revoked = await get(`/r/${study.token(0)}${rest}`);
      assert.equal(revoked.status, 404);
      assert.deepEqual(revoked, await get(`/r/${unknown}${rest}`), "revoked and unknown must look the same");
      assert.equal((await get(`/r/${study.token(1)}${rest}`)).status, 200);
    }
    for (const bad of ["/", "/r", "/r/", "/r/x", "/study", "/items/0", `/r/${study.token(1)}0`, `/r/${study.token(1)}/../${study.token(1)}x`, "/static/review.html", "/static/../main.cc"])
      assert.equal((await get(bad)).status, 404, bad);
    const body = JSON.stringify({position: 0, question: "preference", value: 1, sequence: 1, client: "x"});
    assert.equal((await get(`/r/${study.token(0)}/answers`, {method: "POST", headers: {"content-type": "application/json"}, body})).status, 404);
    // The page that is open says so and loses nothing that was saved.
    await choose(open, "preference", 1);
    await open.waitForSelector("#notice:not([hidden])");
    assert.match(await text(open, "#notice"), /does not work anymore/);
    assert.equal(asShown(study.stored(0)[0]).preference, 2);
    const stranger = await browser.newContext();
    const page = await stranger.newPage();
    assert.equal((await page.goto(`http://${study.address}/r/${unknown}`)).status(), 404);
    assert.equal(await page.locator("h1").textContent(), "This link does not work");
    // Logs name no token, answers no arm.
    for (const person of [0, 1]) assert(!study.log.includes(study.token(person)), "a token is in the log");
    const seen = [await get(`/r/${study.token(1)}`), await get(`/r/${study.token(1)}/study`), await get(`/r/${study.token(1)}/items/0`)];
    for (const {body: shown, headers} of seen) {
      for (const word of [`"${ARM}"`, `"${BASELINE}"`, "arm_first", study.token(1), study.token(0)]) assert(!(shown + JSON.stringify(headers)).includes(word), word);
      assert.match(headers["content-security-policy"], /default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';.*frame-ancestors 'none'/);
      assert.equal(headers["x-content-type-options"], "nosniff");
      assert.equal(headers["referrer-policy"], "no-referrer");
      assert.equal(headers["cache-control"], "no-store");
    }
  },

  async "the newer of two tabs' answers stays, however they arrive"() {
    const study = await new Study("tabs", "mini.json", "--annotators", "1").start();
    const person = await Person.open(study);
    const a = person.tab;
    const b = await person.newTab();
    await title(a, "Dialogue 1 of 6");
    await title(b, "Dialogue 1 of 6");
    // Both at once, different questions and the same one.
    await Promise.all([choose(a, "readability_first", 1), choose(b, "coherence_first", 2)]);
    for (let value = 1; value <= 5; ++value) await choose(value % 2 === 0 ? a : b, "readability_second", value);
    await Promise.all([saved(a), saved(b)]);
    let shown = asShown(study.stored()[0]);
    assert.deepEqual([shown.readability_first, shown.coherence_first, shown.readability_second], [1, 2, 5]);
    // An older answer that comes late (its tab had no network) does not replace the newer one.
    await a.route("**/answers", (route) => route.abort());
    await choose(a, "coherence_second", 1);
    await state(a, "unsaved");
    await choose(b, "coherence_second", 5);
    await saved(b);
    await a.unroute("**/answers");
    await saved(a);
    assert.equal(asShown(study.stored()[0]).coherence_second, 5);
    assert.equal((await checked(a)).coherence_second, 5, "the tab shows what is stored");
    // A save whose answer was lost is repeated and stays one.
    await a.route("**/answers", async (route) => { await route.fetch(); await route.abort(); }, {times: 1});
    await choose(a, "preference", 2);
    await saved(a);
    assert.equal(asShown(study.stored()[0]).preference, 2);
    // The other tab learns of it when somebody looks at it.
    await b.evaluate(() => document.dispatchEvent(new Event("visibilitychange")));
    await until("the other tab shows it", async () => (await checked(b)).preference === 2);
  },

  async "hostile text is only text"() {
    const study = await new Study("hostile", "hostile.json", "--annotators", "1", "--seed", "4").start();
    const {tab} = await Person.open(study);
    const rows = JSON.parse(fs.readFileSync(path.join(FOLDER, "hostile.json"), "utf8")).rows;
    for (let position = 0; position < 2; ++position) {
      await title(tab, `Dialogue ${position + 1} of 2`);
      const shown = await tab.evaluate(() => ({
        dialogue: document.querySelector("#dialogue").textContent, first: document.querySelector("#first").textContent, second: document.querySelector("#second").textContent,
        inside: [...document.querySelectorAll("#dialogue *, #first *, #second *")].map((element) => element.tagName.toLowerCase()), hacked: window.hacked,
        wide: document.documentElement.scrollWidth > document.documentElement.clientWidth}));
      const row = rows.find((one) => one.dialogue.includes("<script>") === shown.dialogue.includes("<script>"));
      // The browser replaces what HTML cannot hold in a text set by script: nothing. Only speakers lose their colon.
      for (const line of row.dialogue.split("\n")) assert(shown.dialogue.includes(line.replace(/^\s*[^:]{1,40}:\s*/, "")), line);
      const texts = row.arms.map((arm) => arm.samples[0].summary).map((summary) => summary === "" ? "(this summary is empty)" : summary);
      assert.deepEqual([shown.first, shown.second].sort(), texts.sort());
      assert.deepEqual([...new Set(shown.inside)].filter((name) => !["p", "span"].includes(name)), []);
      assert.equal(shown.hacked, undefined);
      assert(!shown.wide, "a long word makes the page scroll sideways");
      for (const question of QUESTIONS) await choose(tab, question, 1);
      await saved(tab);
      if (position === 0) await tab.click("#next");
    }
    assert.equal(study.stored()[0].complete, true);
    assert.equal(jsonLines(mellow("export", study.file, "--format", "jsonl", "--texts")).length, 2);
    // Were there ever a hole: a script in the document's text does not run, and none comes from elsewhere.
    const context = await browser.newContext();
    const page = await context.newPage();
    await page.goto(study.link());
    await page.evaluate(() => {
      const inline = document.createElement("script");
      inline.textContent = "window.hacked = 1";
      const data = document.createElement("script");
      data.src = "data:text/javascript,window.hacked=2";
      const image = document.createElement("img");
      image.setAttribute("onerror", "window.hacked = 3");
      image.src = "/static/none";
      document.body.append(inline, data, image);
      return new Promise((resolve) => image.addEventListener("error", resolve));
    });
    assert.equal(await page.evaluate(() => window.hacked), undefined);
  },

  async "a telephone shows everything without scrolling sideways"() {
    const study = await new Study("phone", "mini.json", "--annotators", "1").start();
    for (const width of [320, 390]) {
      const {tab} = await Person.open(study, 0, {viewport: {width, height: 700}, isMobile: true, hasTouch: true, deviceScaleFactor: 2});
      await title(tab, "Dialogue 1 of 6");
      const sizes = await tab.evaluate(() => ({
        page: document.documentElement.scrollWidth, window: window.innerWidth,
        targets: [...document.querySelectorAll(".choice, button:not([hidden])")].map((element) => element.getBoundingClientRect()).filter((box) => box.width > 0).map((box) => [box.width, box.height])}));
      assert(sizes.page <= sizes.window, `${sizes.page} > ${sizes.window}`);
      assert(sizes.targets.length >= 25);
      for (const [w, h] of sizes.targets) assert(w >= 40 && h >= 44, `a target of ${w} x ${h}`);
      await tab.locator("fieldset[data-question=coherence_second] .choice").nth(3).tap();
      await tab.locator("fieldset[data-question=preference] .choice").nth(width === 320 ? 0 : 2).tap();
      await saved(tab);
    }
    assert.equal(asShown(study.stored()[0]).coherence_second, 4);
    assert.equal(asShown(study.stored()[0]).preference, 2);
  },

  async "names for everybody and contrast, light and dark"() {
    const study = await new Study("names", "mini.json", "--annotators", "1").start();
    for (const colorScheme of ["light", "dark"]) {
      const {tab} = await Person.open(study, 0, {colorScheme});
      await title(tab, "Dialogue 1 of 6");
      for (const summary of ["A", "B"]) {
        for (const question of ["Readability", "Coherence"])
          assert.equal(await tab.getByRole("group", {name: new RegExp(`Summary ${summary}: ${question}`)}).getByRole("radio").count(), 5);
      }
      assert.equal(await tab.getByRole("group", {name: /better/}).getByRole("radio").count(), 3);
      assert.equal(await tab.getByRole("progressbar", {name: "Dialogues done"}).count(), 1);
      await choose(tab, "readability_first", 3);
      await saved(tab);
      // WCAG 2.1: the contrast of every visible text with what is behind it, at least 4.5.
      const poor = await tab.evaluate(() => {
        const rgb = (color) => (/rgba?\(([^)]+)\)/.exec(color) || [, "0,0,0,0"])[1].split(",").map(Number);
        const light = ([r, g, b]) => [r, g, b].map((c) => c / 255).map((c) => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4).reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
        const behind = (element) => {
          for (let e = element; e !== null; e = e.parentElement) {
            const color = rgb(getComputedStyle(e).backgroundColor);
            if (color.length === 3 || color[3] === 1) return color;
          }
          return [255, 255, 255];
        };
        const bad = [];
        for (const element of document.querySelectorAll("body *")) {
          const own = [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.textContent.trim() !== "");
          if (!own || element.disabled || element.closest("[hidden], noscript, .hidden") !== null) continue;
          const [a, b] = [light(rgb(getComputedStyle(element).color)), light(behind(element))];
          const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
          if (ratio < 4.5) bad.push(`${element.tagName} ${element.className} "${element.textContent.trim().slice(0, 20)}": ${ratio.toFixed(2)}`);
        }
        return bad;
      });
      assert.deepEqual(poor, [], colorScheme);
    }
  },

  async "a server that is killed and comes back loses nothing"() {
    const study = await new Study("killed", "mini.json", "--annotators", "1").start();
    const person = await Person.open(study);
    const {tab} = person;
    await title(tab, "Dialogue 1 of 6");
    await choose(tab, "readability_first", 5);
    await saved(tab);
    await study.stop("SIGKILL");
    await choose(tab, "coherence_first", 1);
    await choose(tab, "readability_first", 4);
    await state(tab, "unsaved");
    assert.match(await text(tab, "#save-state"), /Not saved yet/);
    await study.start();
    await saved(tab);
    let shown = asShown(study.stored()[0]);
    assert.deepEqual([shown.readability_first, shown.coherence_first], [4, 1]);
    // Killed again, and the tab is closed before the server is back: the next visit brings the answers.
    await study.stop("SIGKILL");
    await choose(tab, "preference", 2);
    await choose(tab, "coherence_second", 3);
    await state(tab, "unsaved");
    await tab.close();
    await study.start();
    const again = await person.newTab();
    await saved(again);
    await until("the kept answers are shown", async () => (await checked(again)).preference === 2);
    shown = asShown(study.stored()[0]);
    assert.deepEqual([shown.preference, shown.coherence_second, shown.readability_first], [2, 3, 4]);
    assert.equal(await again.evaluate(() => Object.keys(localStorage).filter((key) => !key.endsWith("warned")).length), 0, "nothing is kept that is saved");
    // SIGTERM ends it in order.
    await study.stop("SIGTERM");
    assert.equal(study.server.exitCode, 0);
    assert(study.log.includes('"message":"stopped"'));
  },

  async "a database that somebody locks is waited for"() {
    const study = await new Study("locked", "mini.json", "--annotators", "1").start();
    const {tab} = await Person.open(study);
    await title(tab, "Dialogue 1 of 6");
    const script = "import sqlite3, sys; db = sqlite3.connect(sys.argv[1], isolation_level=None); db.execute('BEGIN IMMEDIATE'); print('locked', flush=True); sys.stdin.read()";
    const holder = spawn("python3", ["-c", script, study.file], {stdio: ["pipe", "pipe", "inherit"]});
    cleanups.push(() => holder.kill("SIGKILL"));
    await new Promise((resolve) => holder.stdout.once("data", resolve));
    await choose(tab, "preference", 1);
    await state(tab, "unsaved");
    assert.deepEqual(study.stored(), {});
    holder.stdin.end();
    await saved(tab);
    assert.equal(asShown(study.stored()[0]).preference, 1);
    assert(study.log.includes("database is locked"));
  },
};

// An assertion that fails in a listener ends it too.
process.on("unhandledRejection", (error) => { console.error(error); process.exit(1); });
process.on("uncaughtException", (error) => { console.error(error); process.exit(1); });
process.on("exit", () => { for (const cleanup of cleanups) try { cleanup(); } catch { /* it has ended */ } });
const only = process.argv[2] || "";
for (const [name, run] of Object.entries(scenarios)) {
  if (!name.includes(only)) continue;
  const begin = Date.now();
  await run();
  console.log(`ok: ${name} (${((Date.now() - begin) / 1000).toFixed(1)} s)`);
}
await browser.close();
process.exit(0);
