// A report's page as people see it: light and dark, on a telephone and on a desk, and printed. Run by report_browser_test.py with PAGES (files, by
// colons). With SHOTS, a folder, the pictures stay there to be looked at. The first failure ends it with 1.
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import {pathToFileURL} from "node:url";

import {launch} from "./browser.mjs";

const {PAGES, SHOTS} = process.env;
const WIDTHS = [390, 1280];
const SCHEMES = ["light", "dark"];

const browser = await launch();

async function open(file, options) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  const wrong = [];
  const address = pathToFileURL(file).href;
  page.on("pageerror", (error) => wrong.push(`exception: ${error.message}`));
  page.on("console", (message) => wrong.push(`console: ${message.text()}`));
  page.on("dialog", (dialog) => { wrong.push("a dialog"); dialog.dismiss(); });
  page.on("request", (request) => { if (request.url() !== address) wrong.push(`a request to ${request.url()}`); });
  await page.goto(address, {waitUntil: "load"});
  return {context, page, wrong};
}

// What is drawn without a size or out of its drawing, and what is wider than the window.
const faults = (page) => page.evaluate(() => {
  const found = [];
  const near = (inner, outer) => inner.left >= outer.left - 1 && inner.right <= outer.right + 1 && inner.top >= outer.top - 1 && inner.bottom <= outer.bottom + 1;
  const drawings = [...document.querySelectorAll("svg")];
  if (drawings.length === 0) found.push("there is no drawing");
  for (const svg of drawings) {
    const box = svg.getBoundingClientRect();
    const name = svg.querySelector("title")?.textContent ?? svg.outerHTML.slice(0, 80);
    if (box.width < 50 || box.height < 20) found.push(`drawing of ${box.width} x ${box.height}: ${name}`);
    for (const text of svg.querySelectorAll("text")) {
      if (text.textContent.trim() !== "" && !near(text.getBoundingClientRect(), box)) found.push(`"${text.textContent}" leaves its drawing: ${name}`);
    }
  }
  const {scrollWidth, clientWidth} = document.documentElement;
  if (scrollWidth > clientWidth) found.push(`the page is ${scrollWidth} wide in a window of ${clientWidth}`);
  return found;
});

// WCAG's relative luminance of the sRGB color "rgb(r, g, b)".
const luminance = (color) => {
  const [r, g, b] = color.match(/\d+/g).slice(0, 3).map((c) => { const v = Number(c) / 255; return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};

async function check(file, colorScheme, width) {
  const {context, page, wrong} = await open(file, {colorScheme, viewport: {width, height: 900}});
  const what = `${file}, ${colorScheme}, ${width} px`;
  assert.deepEqual(await faults(page), [], what);
  await page.evaluate(() => document.querySelectorAll("details").forEach((details) => { details.open = true; }));
  assert.deepEqual(await faults(page), [], `${what}, everything opened`);
  const [ground, ink, drawn] = await page.evaluate(() => [
    getComputedStyle(document.documentElement).backgroundColor, getComputedStyle(document.querySelector("main p")).color, getComputedStyle(document.querySelector("svg text")).fill]);
  const [low, high] = [luminance(ground), luminance(ink)].sort((a, b) => a - b);
  assert.equal(luminance(ground) < luminance(ink), colorScheme === "dark", `${what}: ground ${ground}, text ${ink}`);
  assert((high + 0.05) / (low + 0.05) >= 4.5, `${what}: contrast of ${ink} on ${ground}`);
  assert.equal(luminance(drawn) > 0.3, colorScheme === "dark", `${what}: text of drawings is ${drawn}`);
  if (SHOTS) await page.screenshot({path: path.join(SHOTS, `${path.basename(path.dirname(file))}-${colorScheme}-${width}.png`), fullPage: true});
  assert.deepEqual(wrong, [], what);
  await context.close();
}

async function print(file) {
  const {context, page, wrong} = await open(file, {viewport: {width: 1280, height: 900}});
  await page.emulateMedia({media: "print"});
  assert.deepEqual((await faults(page)).filter((fault) => !fault.startsWith("the page is")), [], `${file}, printed`);
  const pdf = await page.pdf({format: "A4", printBackground: true, margin: {top: "15mm", bottom: "15mm", left: "12mm", right: "12mm"}});
  const text = pdf.toString("latin1");
  assert(text.startsWith("%PDF-"), file);
  const sheets = (text.match(/\/Type\s*\/Page\b/g) ?? []).length;
  assert(sheets >= 2 && sheets <= 60, `${file}: ${sheets} sheets of paper`);
  if (SHOTS) fs.writeFileSync(path.join(SHOTS, `${path.basename(path.dirname(file))}.pdf`), pdf);
  assert.deepEqual(wrong, [], `${file}, printed`);
  await context.close();
  return sheets;
}

process.on("unhandledRejection", (error) => { console.error(error); process.exit(1); });
for (const file of PAGES.split(":")) {
  for (const scheme of SCHEMES) {
    for (const width of WIDTHS) await check(file, scheme, width);
  }
  console.log(`ok: ${file}: ${SCHEMES.join(" and ")} at ${WIDTHS.join(" and ")} px, and ${await print(file)} sheets of paper`);
}
await browser.close();
