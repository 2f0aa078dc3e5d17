#ifndef MELLOW_COMMON_REPORT_HTML_STYLE_H_
#define MELLOW_COMMON_REPORT_HTML_STYLE_H_

namespace mellow::report {

// The style sheet of a report's page and of the charts in it (svg.h). Series: s0 is the baseline,
// s1 to s3 the other arms. Colors keep a contrast of 4.5 to 1 for text, in light and in dark, and
// no color is the only sign of anything.
inline constexpr char kStyle[] = R"css(
:root {
  --paper: #ffffff; --ground: #f4f5f7; --ink: #1c2430; --soft: #5a6575; --rule: #d9dee6;
  --s0: #64748b; --s1: #0f766e; --s2: #b45309; --s3: #6d28d9;
  --good: #0b6b4f; --good-ground: #e4f5ee; --bad: #a32018; --bad-ground: #fdeceb;
  --plain-ground: #eef1f6; --link: #1d4ed8;
  --m1: #fdecc8; --m2: #fbc98b; --m3: #f79a7c; --mark-ink: #3b1206;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #171c24; --ground: #0f1319; --ink: #e4e8ee; --soft: #a0abbb; --rule: #323b49;
    --s0: #94a3b8; --s1: #2dd4bf; --s2: #fbbf24; --s3: #c4b5fd;
    --good: #5fd6ac; --good-ground: #11332a; --bad: #ff9c92; --bad-ground: #40191a;
    --plain-ground: #222a36; --link: #8ab4ff;
    --m1: #4d3d14; --m2: #70400f; --m3: #86311c; --mark-ink: #fff1e2;
  }
}
* { box-sizing: border-box; }
html { background: var(--ground); color: var(--ink); -webkit-text-size-adjust: 100%; }
body { margin: 0; font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; }
main { max-width: 68rem; margin: 0 auto; padding: 1.5rem 1rem 3rem; }
header, section { background: var(--paper); border: 1px solid var(--rule); border-radius: 10px; padding: 1.25rem 1.5rem; margin-bottom: 1rem; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .75rem; overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; margin: 0 0 .75rem; }
h3 { font-size: 1rem; margin: 0 0 .5rem; overflow-wrap: anywhere; }
h4 { font-size: .9rem; margin: 0; overflow-wrap: anywhere; }
p { margin: 0 0 .75rem; overflow-wrap: anywhere; }
ul { margin: 0 0 .75rem; padding-left: 1.25rem; }
li { overflow-wrap: anywhere; margin-bottom: .25rem; }
a { color: var(--link); }
.lead { font-size: 1.1rem; }
.small { font-size: .875rem; color: var(--soft); margin-bottom: .5rem; }
.small.bad { color: var(--bad); font-weight: 600; }
nav ul { list-style: none; display: flex; flex-wrap: wrap; gap: .35rem 1.1rem; padding: .75rem 0 0; margin: .75rem 0 0; border-top: 1px solid var(--rule); font-size: .9rem; }
nav li { margin: 0; }
.callout { border-left: 4px solid var(--soft); background: var(--plain-ground); padding: .6rem .9rem; border-radius: 4px; }
.callout.good { border-color: var(--good); background: var(--good-ground); }
.callout.bad { border-color: var(--bad); background: var(--bad-ground); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(11rem, 1fr)); gap: .75rem; margin: 0 0 .75rem; }
.tiles div { background: var(--plain-ground); border-radius: 8px; padding: .7rem .9rem; }
.tiles dt { font-size: .85rem; color: var(--soft); }
.tiles dd { margin: 0; font-size: .85rem; overflow-wrap: anywhere; }
.tiles .value { font-size: 1.5rem; font-weight: 650; font-variant-numeric: tabular-nums; line-height: 1.3; }
.tiles .good .value, td.good { color: var(--good); }
.tiles .bad .value, td.bad { color: var(--bad); }
td.muted { color: var(--soft); }
td.good, td.bad { font-weight: 600; }
.scroll { overflow-x: auto; margin-bottom: 1rem; }
table { border-collapse: collapse; width: 100%; font-size: .875rem; line-height: 1.35; }
caption { text-align: left; font-weight: 600; padding: .25rem 0 .4rem; overflow-wrap: anywhere; }
th, td { text-align: left; vertical-align: top; padding: .4rem .55rem; border-bottom: 1px solid var(--rule); overflow-wrap: break-word; }
th { color: var(--soft); font-weight: 600; vertical-align: bottom; }
th, td { min-width: 3.2rem; }
th.number, td.number { text-align: right; }
td.number { font-variant-numeric: tabular-nums; white-space: nowrap; overflow-wrap: normal; }
th:first-child, td:first-child { padding-left: 0; }
th:last-child, td:last-child { padding-right: 0; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr)); gap: 1rem 1.5rem; margin-bottom: 1rem; }
figure { margin: 0; max-width: 34rem; min-width: 0; }
figcaption { font-weight: 600; font-size: .95rem; margin-bottom: .35rem; overflow-wrap: anywhere; }
svg { display: block; width: 100%; height: auto; font: 13px system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; }
svg text { fill: var(--ink); }
svg .tick, svg .label, svg .note { fill: var(--soft); font-variant-numeric: tabular-nums; }
svg .note { font-style: italic; }
svg .value { font-variant-numeric: tabular-nums; }
svg .value, svg .name { paint-order: stroke; stroke: var(--paper); stroke-width: 4px; stroke-linejoin: round; }
svg .name { font-weight: 600; }
svg .axis { stroke: var(--soft); stroke-width: 1; }
svg .grid { stroke: var(--rule); stroke-width: 1; }
svg .zero { stroke: var(--soft); stroke-width: 1.25; stroke-dasharray: 5 4; }
svg .mean { stroke: var(--ink); stroke-width: 1.5; stroke-dasharray: 4 3; }
svg .better { fill: var(--good-ground); }
svg .curve { stroke-width: 2; stroke-linejoin: round; }
svg .whisker { stroke-width: 2; }
svg .curve.s0, svg .whisker.s0 { stroke: var(--s0); }
svg .curve.s1, svg .whisker.s1 { stroke: var(--s1); }
svg .curve.s2, svg .whisker.s2 { stroke: var(--s2); }
svg .curve.s3, svg .whisker.s3 { stroke: var(--s3); }
svg .dot.s0, svg .bar.s0 { fill: var(--s0); }
svg .dot.s1, svg .bar.s1 { fill: var(--s1); }
svg .dot.s2, svg .bar.s2 { fill: var(--s2); }
svg .dot.s3, svg .bar.s3 { fill: var(--s3); }
svg .name.s0 { fill: var(--s0); }
svg .name.s1 { fill: var(--s1); }
svg .name.s2 { fill: var(--s2); }
svg .name.s3 { fill: var(--s3); }
svg .many { fill-opacity: .6; }
details { margin-bottom: .75rem; }
summary { cursor: pointer; color: var(--link); font-size: .9rem; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; margin: .5rem 0 0; padding: .7rem .9rem; border-radius: 6px; background: var(--plain-ground); font-size: .85rem; }
pre.text { font-family: inherit; }
.text { unicode-bidi: isolate; white-space: pre-wrap; margin-bottom: 0; }
.pair { border-top: 1px solid var(--rule); padding: .9rem 0; }
.reference { font-size: .925rem; margin-bottom: .75rem; }
.reference b { color: var(--soft); font-size: .8rem; font-weight: 600; }
.sides { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 16rem), 1fr)); gap: .75rem; }
.sides > div { background: var(--plain-ground); border-radius: 8px; padding: .6rem .9rem .7rem; min-width: 0; }
mark { color: var(--mark-ink); border-radius: 3px; padding: 0 .15em; box-decoration-break: clone; -webkit-box-decoration-break: clone; }
.m1 { background: var(--m1); }
.m2 { background: var(--m2); text-decoration: underline; text-underline-offset: 3px; }
.m3 { background: var(--m3); font-weight: 700; text-decoration: underline; text-underline-offset: 3px; }
footer { color: var(--soft); font-size: .85rem; overflow-wrap: anywhere; }
@media (max-width: 44rem) {
  main { padding: .75rem .5rem 2rem; }
  header, section { padding: 1rem .9rem; border-radius: 8px; }
  table, caption, tbody, tr, td { display: block; }
  thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  tr { border: 1px solid var(--rule); border-radius: 8px; padding: .3rem .7rem; margin-bottom: .6rem; }
  td, td:first-child, td:last-child { display: flex; justify-content: space-between; gap: 1rem; padding: .25rem 0; border-bottom: 1px dotted var(--rule); text-align: right; }
  td:last-child { border-bottom: 0; }
  td::before { content: attr(data-label); color: var(--soft); font-weight: 400; text-align: left; flex: 0 0 46%; white-space: normal; }
  td:first-child { font-weight: 600; text-align: left; }
  td:first-child::before { content: none; }
  td > span { min-width: 0; overflow-wrap: anywhere; }
  .tiles { grid-template-columns: 1fr 1fr; }
}
@media print {
  html { background: none; }
  main { max-width: none; padding: 0; }
  header, section { border: 0; padding: 0; margin-bottom: 1.25rem; }
  nav { display: none; }
  details::details-content { content-visibility: visible; height: auto; }
  details > pre { display: block; }
  .figures { grid-template-columns: 1fr 1fr; }
  figure, .sides, tr, .callout, .tiles div { break-inside: avoid; }
  h2, h3, caption { break-after: avoid; }
  table { font-size: .68rem; }
  th, td { padding: .25rem .3rem; min-width: 0; }
  * { -webkit-print-color-adjust: exact; print-color-adjust: exact; }
}
)css";

}  // namespace mellow::report

#endif  // MELLOW_COMMON_REPORT_HTML_STYLE_H_
