"""How the report looks: light and dark, at a desk and on a phone. No font, picture or script is fetched."""

STYLE = """
:root { color-scheme: light dark;
  --paper: #fbfaf7; --card: #ffffff; --ink: #1d2125; --soft: #5b646d; --line: #e2e0da;
  --calm: #e9e7e1; --calm-ink: #4b5259; --wait: #f6dfa6; --wait-ink: #5a4100;
  --live: #f7c4b8; --live-ink: #701d0b; --speak: #bfe0d2; --speak-ink: #0d4a35;
  --ready: #cfdff5; --ready-ink: #173d70; --bad: #e8c7e6; --bad-ink: #5c1458;
  --mic: #c2492d; --loud: #23805f; --flag: #3d4a57; --flag-ink: #ffffff; --link: #1b5aa6; }
@media (prefers-color-scheme: dark) { :root {
  --paper: #15181b; --card: #1d2125; --ink: #e8e6e1; --soft: #a3abb3; --line: #343a40;
  --calm: #2b3036; --calm-ink: #b9c0c7; --wait: #57450f; --wait-ink: #fbe3a4;
  --live: #6b2a1c; --live-ink: #ffd9cf; --speak: #1b4d3b; --speak-ink: #c3eedd;
  --ready: #223f66; --ready-ink: #d3e4fb; --bad: #562a53; --bad-ink: #f6d6f4;
  --mic: #ef8a70; --loud: #5cc49c; --flag: #c3ccd5; --flag-ink: #15181b; --link: #8cbcf5; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.45 system-ui, "Segoe UI", "Noto Sans", "Liberation Sans", Arial, sans-serif; }
main { max-width: 72rem; margin: 0 auto; padding: 1.5rem 1rem 3rem; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 0; }
h2 { font-size: 1.15rem; margin: 2.2rem 0 .6rem; }
h3 { font-size: 1.05rem; margin: 0; display: flex; flex-wrap: wrap; gap: .2rem .7rem; align-items: center; }
p { margin: .3rem 0; }
a { color: var(--link); }
a:focus-visible, summary:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
.soft, small, time { color: var(--soft); font-weight: normal; }
small { font-size: .78rem; }
.card, article { background: var(--card); border: 1px solid var(--line); border-radius: .6rem;
  padding: .8rem 1rem; }
article { margin: 0 0 1rem; scroll-margin-top: 1rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .35rem .6rem .35rem 0; border-bottom: 1px solid var(--line);
  vertical-align: baseline; overflow-wrap: anywhere; }
th { font-weight: normal; }
td a { white-space: nowrap; }
thead th { color: var(--soft); font-weight: normal; font-size: .85rem; }
tr:last-child > * { border-bottom: 0; }
.number { text-align: right; white-space: nowrap; padding-right: 0; padding-left: .6rem; }
.chip { border-radius: 1rem; padding: 0 .6rem; font-size: .82rem; font-weight: 600; white-space: nowrap; }
dl { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: .25rem 1rem; margin: 0; }
dt { color: var(--soft); }
dd { margin: 0; overflow-wrap: anywhere; }
.lanes { margin: .8rem 0 .4rem; }
.lane { display: grid; grid-template-columns: 8.5rem minmax(0, 1fr); gap: 0 .8rem; align-items: center;
  margin: .3rem 0; }
.name { font-size: .85rem; line-height: 1.2; }
.name small { display: block; }
.track { position: relative; height: 1.6rem; overflow: hidden; border-radius: .25rem;
  background-color: color-mix(in srgb, var(--calm) 35%, transparent);
  background-image: repeating-linear-gradient(90deg, var(--line) 0 1px, transparent 1px var(--step)); }
.track.level { height: 3rem; }
.track.axis { background: none; height: 1.1rem; border-radius: 0; }
.track svg { position: absolute; inset: 0; width: 100%; height: 100%; display: block; }
.span, .at, .flag { position: absolute; top: 0; height: 100%; white-space: nowrap; overflow: hidden; }
.span { container-type: inline-size; border-left: 1px solid var(--card); }
.span b { display: block; font-weight: normal; font-size: .78rem; line-height: 1.6rem; padding: 0 .35rem;
  overflow: hidden; text-overflow: ellipsis; }
@container (max-width: 2.6rem) { .span b { visibility: hidden; } }
.at { font-size: .72rem; line-height: 1.1rem; color: var(--soft); border-left: 1px solid var(--soft);
  padding-left: .2rem; }
.tick { position: absolute; top: 0; height: 100%; width: 1px; background: var(--flag); }
.flag { top: .2rem; height: 1.2rem; line-height: 1.2rem; min-width: 1.2rem; max-width: 13.8%;
  padding: 0 .2rem; text-align: center;
  font-size: .66rem; font-weight: 600; border-radius: 0 .25rem .25rem 0;
  background: var(--flag); color: var(--flag-ink); font-variant-numeric: tabular-nums; }
.calm { background-color: var(--calm); color: var(--calm-ink); }
.wait { background-color: var(--wait); color: var(--wait-ink); }
.live { background-color: var(--live); color: var(--live-ink); }
.speak { background-color: var(--speak); color: var(--speak-ink); }
.ready { background-color: var(--ready); color: var(--ready-ink); }
.bad { background-color: var(--bad); color: var(--bad-ink); }
.mic { fill: var(--mic); } .loud { fill: var(--loud); }
details { margin-top: .5rem; }
summary { cursor: pointer; color: var(--link); font-size: .9rem; }
.events { list-style: none; margin: .5rem 0 0; padding: 0; font-size: .88rem;
  font-variant-numeric: tabular-nums; }
.events li { display: grid; grid-template-columns: 2.6rem 4.6rem minmax(0, 1fr);
  gap: .6rem; padding: .12rem 0; }
.events li > :nth-child(-n+2) { text-align: right; color: var(--soft); white-space: nowrap; }
.events .text { overflow-wrap: anywhere; }
.events i { font-style: normal; }
.events .words { font-style: italic; }
footer { margin-top: 2rem; font-size: .85rem; color: var(--soft); }
@media (max-width: 40rem) {
  main { padding: 1rem .7rem 2rem; }
  .card, article { padding: .7rem; }
  .lane { grid-template-columns: minmax(0, 1fr); margin: .45rem 0; }
  .name { display: flex; gap: .5rem; align-items: baseline; padding-bottom: .12rem; }
  dl { grid-template-columns: minmax(0, 1fr); gap: 0; }
  dd { margin-bottom: .4rem; }
  .wide { display: none; }
  table { font-size: .88rem; }
  .number { padding-left: .45rem; }
}
@media print { article { break-inside: avoid; } .track, .span, .flag, .chip { print-color-adjust: exact; } }
"""
