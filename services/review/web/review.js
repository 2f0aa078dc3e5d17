// The rating page. Texts of a study go into the document by textContent only. Every answer is sent at
// once; what the server has not confirmed stays in `pending` and in localStorage, and is sent again
// until it is.
"use strict";

(() => {
  const BASE = location.pathname.replace(/\/+$/, "");
  const RATINGS = [[1, "1"], [2, "2"], [3, "3"], [4, "4"], [5, "5"]];
  const PREFERENCES = [[1, "A is better", "a"], [0, "Tie", "t"], [2, "B is better", "b"]];
  const OFFENSES = [[1, "A offends more", "q"], [0, "Neither", "w"], [2, "B offends more", "e"]];
  const CHOICES = {rating: RATINGS, preference: PREFERENCES, offense: OFFENSES};
  const KEYED = {preference: PREFERENCES, more_offensive: OFFENSES};  // answered by letters
  const REQUEST_MS = 10000;
  const FIRST_RETRY_MS = 500;
  const LONGEST_RETRY_MS = 8000;
  const KEPT = "mellow-review-unsaved";
  const WARNED = "mellow-review-warned";

  const $ = (id) => document.getElementById(id);
  // Those that the study asks, once it has said so.
  let fieldsets = [...document.querySelectorAll("fieldset[data-question]")];
  let questions = [];
  const client = [...crypto.getRandomValues(new Uint8Array(8))].map((byte) => byte.toString(16).padStart(2, "0")).join("");

  let page = "";              // name under which unsaved answers are kept
  let sheets = [];            // by position: {question: {value, sequence, client}}
  let position = -1;          // the item that is shown; -1: none
  let current = 0;            // index of the question that the number keys answer
  let clockOffset = 0;        // server's clock in ms - performance.now()
  let flushing = false;
  let revoked = false;
  let retryMs = FIRST_RETRY_MS;
  let wakeUp = () => {};      // ends a pause between two tries
  const pending = new Map();  // "position/question" -> save
  const texts = new Map();    // position -> promise of {dialogue, first, second}

  // ---- talking to the server

  class Refused extends Error {
    constructor(status, body) {
      super(body.error || `HTTP ${status}`);
      this.status = status;
      this.code = body.code || "";
    }
    get temporary() { return this.status === 429 || this.status >= 500; }
  }

  async function call(path, body) {
    const options = {signal: AbortSignal.timeout(REQUEST_MS), credentials: "omit", redirect: "error"};
    if (body !== undefined) {
      options.method = "POST";
      options.headers = {"Content-Type": "application/json"};
      options.body = JSON.stringify(body);
    }
    const response = await fetch(BASE + path, options);
    const answer = await response.json().catch(() => ({}));
    if (!response.ok) {
      const refused = new Refused(response.status, answer);
      if (refused.code === "no_access") loseAccess();
      throw refused;
    }
    if (Number.isFinite(answer.now)) clockOffset = answer.now - performance.now();
    return answer;
  }

  function pause(ms) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      wakeUp = () => { clearTimeout(timer); resolve(); };
    });
  }

  // Repeats a read until it succeeds, or cannot.
  async function callUntilAnswered(path) {
    for (let wait = FIRST_RETRY_MS; ; wait = Math.min(2 * wait, LONGEST_RETRY_MS)) {
      try {
        const answer = await call(path);
        if (!revoked) hideNotice();
        return answer;
      } catch (error) {
        if (error instanceof Refused && !error.temporary) throw error;
        showNotice("The server does not answer. Trying again…");
        await pause(wait);
      }
    }
  }

  function loseAccess() {
    revoked = true;
    showNotice("This link does not work anymore. Answers that were saved stay saved.");
    render();
  }

  // ---- answers

  const keyOf = (save) => `${save.position}/${save.question}`;
  const newer = (a, b) => a.sequence > b.sequence || (a.sequence === b.sequence && a.client > b.client);
  const isComplete = (sheet) => questions.every((question) => sheet[question] !== undefined);
  const firstOpen = () => sheets.findIndex((sheet) => !isComplete(sheet));

  // A stored answer that is newer than what this page has.
  function adopt(at, question, answer) {
    const mine = sheets[at][question];
    if (mine === undefined || newer(answer, mine)) sheets[at][question] = answer;
  }

  function choose(question, value) {
    const sheet = sheets[position];
    const seen = sheet[question] ? sheet[question].sequence : 0;
    const answer = {value, sequence: Math.max(Math.round(performance.now() + clockOffset), seen + 1), client};
    sheet[question] = answer;
    const save = {position, question, ...answer};
    pending.set(keyOf(save), save);
    keep();
    render();
    flush();
  }

  // What is not saved yet outlives the page. Each page load has an entry of its own, so that tabs do
  // not overwrite each other's.
  const storageKey = (owner) => `${KEPT}/${page}/${owner}`;

  function keep() {
    try {
      if (pending.size === 0) localStorage.removeItem(storageKey(client));
      else localStorage.setItem(storageKey(client), JSON.stringify([...pending.values()]));
    } catch {
      // No storage (private window, full): the page itself still keeps them.
    }
  }

  function takeOver() {
    try {
      for (const key of Object.keys(localStorage).filter((name) => name.startsWith(storageKey("")))) {
        for (const save of parsed(key)) {
          if (!questions.includes(save.question) || sheets[save.position] === undefined) continue;
          const stored = sheets[save.position][save.question];
          if (stored !== undefined && !newer(save, stored)) continue;
          sheets[save.position][save.question] = {value: save.value, sequence: save.sequence, client: save.client};
          pending.set(keyOf(save), save);
        }
        // Kept under this page's name from now on. A tab that is still open writes its own again.
        keep();
        if (key !== storageKey(client)) localStorage.removeItem(key);
      }
    } catch {
      // As above.
    }
  }

  // An entry that is no list of answers is nobody's, and must not keep the others from being read.
  function parsed(key) {
    try {
      const saves = JSON.parse(localStorage.getItem(key));
      if (Array.isArray(saves)) return saves.filter((save) => save !== null && typeof save === "object");
    } catch {
      // Not ours.
    }
    localStorage.removeItem(key);
    return [];
  }

  async function flush() {
    if (flushing) return;
    flushing = true;
    renderState();
    while (pending.size > 0 && !revoked) {
      const [key, save] = pending.entries().next().value;
      try {
        const stored = await call("/answers", save);
        retryMs = FIRST_RETRY_MS;
        if (pending.get(key) === save) pending.delete(key);
        adopt(stored.position, stored.question, stored.answer);
      } catch (error) {
        if (error instanceof Refused && !error.temporary && !revoked) {
          // The server will never take it: show what it has instead.
          if (pending.get(key) === save) pending.delete(key);
          delete sheets[save.position][save.question];
          showNotice(`An answer was refused (${error.message}). Please give it again.`);
          await refresh();
        } else if (!revoked) {
          renderState(/*failed=*/true);
          await pause(retryMs);
          retryMs = Math.min(2 * retryMs, LONGEST_RETRY_MS);
        }
      }
      keep();
      render();
    }
    flushing = false;
    renderState();
  }

  // What other tabs and devices have saved meanwhile; also sets the clock after a sleep.
  async function refresh() {
    try {
      const study = await call("/study");
      study.sheets.forEach((sheet, at) => {
        for (const [question, answer] of Object.entries(sheet)) adopt(at, question, answer);
      });
      render();
    } catch {
      // The next save or visit finds out.
    }
  }

  // ---- showing

  function showNotice(text) {
    $("notice").textContent = text;
    $("notice").hidden = false;
  }
  function hideNotice() { $("notice").hidden = true; }

  function fillDialogue(dialogue) {
    const voices = [];
    const turns = dialogue.split(/\r?\n/).filter((line) => line.trim() !== "").map((line) => {
      const turn = document.createElement("p");
      turn.className = "turn";
      const parts = /^\s*([^:]{1,40}):\s*(.*)$/.exec(line);
      if (parts !== null) {
        if (!voices.includes(parts[1])) voices.push(parts[1]);
        const speaker = document.createElement("span");
        speaker.className = "speaker";
        speaker.dataset.voice = String(voices.indexOf(parts[1]) % 3);
        speaker.textContent = parts[1];
        turn.append(speaker);
      }
      turn.append(document.createTextNode(parts === null ? line : parts[2]));
      return turn;
    });
    $("dialogue").replaceChildren(...turns);
  }

  function fillSummary(element, text) {
    const empty = text.trim() === "";
    element.classList.toggle("empty", empty);
    element.textContent = empty ? "(this summary is empty)" : text;
  }

  function textsOf(at) {
    if (!texts.has(at)) {
      const promise = callUntilAnswered(`/items/${at}`);
      promise.catch(() => texts.delete(at));
      texts.set(at, promise);
    }
    return texts.get(at);
  }

  async function show(at) {
    position = at;
    current = Math.max(0, questions.findIndex((question) => sheets[at][question] === undefined));
    $("done").hidden = true;
    let item;
    try {
      item = await textsOf(at);
    } catch (error) {
      if (!revoked) showNotice(`This dialogue cannot be shown (${error.message}).`);
      return;
    }
    if (position !== at) return;  // the person has moved on
    fillDialogue(item.dialogue);
    fillSummary($("first"), item.first);
    fillSummary($("second"), item.second);
    $("item").hidden = false;
    render();
    scrollTo(0, 0);
    document.querySelector(".dialogue").scrollTop = 0;
    $("item-title").focus({preventScroll: true});
    if (at + 1 < sheets.length) textsOf(at + 1).catch(() => {});
  }

  function showDone() {
    position = -1;
    $("item").hidden = true;
    $("done").hidden = false;
    render();
    scrollTo(0, 0);
    $("done").querySelector("h1").focus();
  }

  function renderState(failed = false) {
    const state = $("save-state");
    let name = "saved";
    let text = sheets.some((sheet) => Object.keys(sheet).length > 0) ? "All answers saved" : "";
    if (pending.size > 0) {
      const waits = failed || revoked || state.dataset.state === "unsaved";
      name = waits ? "unsaved" : "saving";
      text = !waits ? "Saving" : revoked ? "Not saved" : "Not saved yet, trying again";
    }
    state.dataset.state = name;
    if (state.textContent !== text) state.textContent = text;
  }

  function render() {
    const complete = sheets.filter(isComplete).length;
    $("progress").max = Math.max(1, sheets.length);
    $("progress").value = complete;
    $("done-count").textContent = sheets.length > 0 ? `${complete} of ${sheets.length} done` : "";
    renderState();
    if (position < 0) return;
    const sheet = sheets[position];
    document.title = `Dialogue ${position + 1} of ${sheets.length}`;
    $("item-title").textContent = document.title;
    fieldsets.forEach((fieldset, index) => {
      fieldset.classList.toggle("current", index === current);
      fieldset.disabled = revoked;
      for (const input of fieldset.querySelectorAll("input")) {
        const answer = sheet[fieldset.dataset.question];
        input.checked = answer !== undefined && Number(input.value) === answer.value;
      }
    });
    const missing = questions.filter((question) => sheet[question] === undefined).length;
    $("missing").textContent = missing === 0 || missing === questions.length ? "" : `${missing} to go`;
    $("previous").disabled = position === 0;
    $("next-name").textContent = firstOpen() < 0 && position + 1 === sheets.length ? "Finish" : "Next";
    $("next").classList.toggle("ready", missing === 0);
  }

  // ---- what people do

  function next() {
    if (position < 0) return;
    if (position + 1 < sheets.length) show(position + 1);
    else if (firstOpen() < 0) showDone();
    else show(firstOpen());
  }
  function previous() {
    if (position > 0) show(position - 1);
  }

  function buildChoices(fieldset) {
    const rating = fieldset.dataset.kind === "rating";
    const choices = document.createElement("div");
    choices.className = `choices ${rating ? "rating" : "preference"}`;
    for (const [value, text, key] of CHOICES[fieldset.dataset.kind]) {
      const label = document.createElement("label");
      label.className = "choice";
      const input = document.createElement("input");
      input.type = "radio";
      input.name = fieldset.dataset.question;
      input.value = String(value);
      input.addEventListener("change", () => choose(fieldset.dataset.question, value));
      const shown = document.createElement("span");
      if (key !== undefined) {
        const hint = document.createElement("kbd");
        hint.setAttribute("aria-hidden", "true");
        hint.textContent = key.toUpperCase();
        input.setAttribute("aria-keyshortcuts", key);
        shown.append(hint);
      }
      shown.append(document.createTextNode(text));
      label.append(input, shown);
      choices.append(label);
    }
    fieldset.append(choices);
    if (rating) {
      const ends = document.createElement("div");
      ends.className = "ends";
      for (const text of ["worst", "best"]) {
        const end = document.createElement("span");
        end.textContent = text;
        ends.append(end);
      }
      fieldset.append(ends);
    }
    fieldset.addEventListener("focusin", () => {
      current = fieldsets.indexOf(fieldset);
      render();
    });
  }

  // By shortcut: answers, and goes on to the next open question.
  function answerByKey(index, value) {
    current = index;
    choose(questions[index], value);
    const sheet = sheets[position];
    const open = (at) => sheet[questions[at]] === undefined;
    const order = [...questions.keys()];
    const goal = order.find((at) => at > index && open(at)) ?? order.find(open);
    if (goal === undefined) {
      $("next").focus();
    } else {
      current = goal;
      fieldsets[goal].querySelector("input").focus({preventScroll: true});
      fieldsets[goal].scrollIntoView({block: "nearest"});
    }
    render();
  }

  // The question that a letter answers, and with what.
  function letterOf(key) {
    for (const question of questions) {
      const chosen = (KEYED[question] || []).find((choice) => choice[2] === key);
      if (chosen !== undefined) return [question, chosen];
    }
    return [];
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || !$("shortcuts").checked || position < 0 || revoked || $("item").hidden) return;
    const key = event.key.toLowerCase();
    const [asked, chosen] = letterOf(key);
    if (/^[1-5]$/.test(key) && fieldsets[current].dataset.kind === "rating") answerByKey(current, Number(key));
    else if (chosen !== undefined) answerByKey(questions.indexOf(asked), chosen[0]);
    else if (key === "n") next();
    else if (key === "p") previous();
    else return;
    event.preventDefault();
  });

  $("item").addEventListener("submit", (event) => event.preventDefault());
  $("next").addEventListener("click", next);
  $("previous").addEventListener("click", previous);
  $("again").addEventListener("click", () => show(0));
  addEventListener("online", () => wakeUp());
  addEventListener("beforeunload", (event) => {
    if (pending.size > 0 && !revoked) event.preventDefault();
  });
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState !== "visible" || sheets.length === 0) return;
    wakeUp();
    refresh();
  });

  // Once in this browser, before anything of the study is shown.
  function warn() {
    try {
      if (localStorage.getItem(WARNED) !== null) return Promise.resolve();
    } catch {
      // No storage: it is shown each time.
    }
    $("warning").hidden = false;
    $("begin").focus();
    return new Promise((resolve) => {
      $("begin").addEventListener("click", () => {
        $("warning").hidden = true;
        try {
          localStorage.setItem(WARNED, "1");
        } catch {
          // As above.
        }
        resolve();
      });
    });
  }

  function ask(asked) {
    for (const fieldset of fieldsets) {
      if (!asked.includes(fieldset.dataset.question)) fieldset.remove();
    }
    $("offense-keys").hidden = !asked.includes("more_offensive");
    fieldsets = fieldsets.filter((fieldset) => asked.includes(fieldset.dataset.question));
    questions = fieldsets.map((fieldset) => fieldset.dataset.question);
    fieldsets.forEach(buildChoices);
  }

  async function start() {
    await warn();
    // A keyboard is more likely where a mouse is.
    $("keys").open = matchMedia("(hover: hover) and (pointer: fine)").matches;
    let study;
    try {
      study = await callUntilAnswered("/study");
    } catch (error) {
      if (!revoked) showNotice(`The study cannot be shown (${error.message}).`);
      return;
    }
    ask(study.questions);
    page = study.page;
    sheets = study.sheets;
    takeOver();
    if (sheets.length === 0) showNotice("No dialogue is assigned to this link.");
    else if (firstOpen() < 0) showDone();
    else show(firstOpen());
    flush();
  }

  start();
})();
