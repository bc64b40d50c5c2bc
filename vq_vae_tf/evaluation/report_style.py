"""The style sheet of `report.html`."""

from __future__ import annotations

STYLE = """
:root{color-scheme:light dark;--page:#fbfbf9;--card:#ffffff;--ink:#1f2328;--muted:#667079;--rule:#e2e5e7;
--accent:#1f6f8b;--serif:Charter,"Bitstream Charter","Iowan Old Style",Georgia,"Liberation Serif",serif;
--sans:system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue","Liberation Sans",Arial,sans-serif;
--mono:ui-monospace,"SF Mono",Menlo,Consolas,"Liberation Mono",monospace}
@media (prefers-color-scheme:dark){:root{--page:#15181b;--card:#1b1f23;--ink:#e4e6e8;--muted:#98a1a9;--rule:#2d3338;
--accent:#6fb7d1}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;scroll-behavior:smooth}
body{margin:0;background:var(--page);color:var(--ink);font:17px/1.6 var(--serif);
font-feature-settings:"kern","liga";text-rendering:optimizeLegibility}
main{max-width:60rem;margin:0 auto;padding:4.5rem 2rem 4rem}
header{margin-bottom:2rem}
.kicker{margin:0 0 .6rem;color:var(--accent);font:600 .78rem/1 var(--sans);letter-spacing:.09em;
text-transform:uppercase}
h1,.subtitle,.gallery .name{overflow-wrap:anywhere}
h1{margin:0;font-size:2.5rem;font-weight:600;line-height:1.15;letter-spacing:-.012em}
.subtitle{margin:.7rem 0 0;max-width:44rem;color:var(--muted);font-size:1.1rem}
nav{display:flex;flex-wrap:wrap;gap:.3rem 1.4rem;padding:.75rem 0;border-top:1px solid var(--rule);
border-bottom:1px solid var(--rule);font:.85rem/1.5 var(--sans)}
a{color:var(--accent);text-decoration:none}
a:hover{text-decoration:underline}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(7rem,1fr));gap:1.6rem 1.2rem;margin:2.2rem 0 0}
.value{font:400 1.85rem/1.1 var(--sans);letter-spacing:-.02em;font-variant-numeric:tabular-nums;white-space:nowrap}
.value .unit{color:var(--muted);font-size:.85rem;letter-spacing:0}
.label{margin-top:.35rem;color:var(--muted);font:.85rem/1.4 var(--sans)}
section{margin-top:3.6rem}
h2{margin:0 0 .8rem;font-size:1.45rem;font-weight:600;line-height:1.25;letter-spacing:-.005em}
section>p{margin:0 0 1.3rem;max-width:44rem}
figure{margin:1.6rem 0}
figcaption,caption{color:var(--muted);font:.85rem/1.5 var(--sans);text-align:left}
figcaption{margin-top:.6rem;max-width:44rem}
caption{padding-bottom:.5rem}
img{display:block;max-width:100%;height:auto}
figure>img,figure>picture>img{width:100%}
figure>.scroll{margin:0}
.scroll img{max-width:none}
.plot img{width:100%;min-width:40rem}
.crisp{image-rendering:pixelated}
.gallery{display:grid;grid-template-columns:max-content minmax(0,1fr);gap:.3rem 1.1rem;align-items:center}
.gallery .name{font:.85rem/1.3 var(--sans);color:var(--ink)}
.scroll{overflow-x:auto;margin:1.2rem 0}
.sounds{display:grid;grid-template-columns:repeat(2,minmax(0,1fr));gap:1.8rem 2rem;margin:1.6rem 0}
.sounds figure{margin:0;width:fit-content;min-width:min(100%,18rem);max-width:100%}
.sounds figcaption{margin:0 0 .4rem;overflow-wrap:anywhere}
audio{display:block;width:100%;height:2.25rem;margin-top:.5rem}
table{border-collapse:collapse;min-width:min(100%,34rem);font:.93rem/1.45 var(--sans);font-variant-numeric:tabular-nums}
th,td{padding:.42rem 0 .42rem 1.8rem;border-bottom:1px solid var(--rule);text-align:right;white-space:nowrap}
th{font-weight:400}
thead th{color:var(--muted);font-size:.82rem}
th:first-child{padding-left:0;text-align:left}
td.unit,th:last-child{padding-left:.7rem;color:var(--muted);text-align:left}
sup{font:.7em/0 var(--sans);margin-left:.15em}
details{margin:1.2rem 0}
summary{cursor:pointer;color:var(--muted);font:.85rem/1.5 var(--sans)}
.settings{margin:1rem 0 0;columns:2;column-gap:3rem;font:.8rem/1.5 var(--mono)}
.settings div{display:flex;gap:1rem;justify-content:space-between;padding:.22rem 0;border-bottom:1px solid var(--rule);
break-inside:avoid}
dt{color:var(--muted)}
dd{margin:0;text-align:right;overflow-wrap:anywhere}
.notes{max-width:46rem;padding-left:1.6rem;color:var(--muted);font-size:.95rem;line-height:1.55}
.notes li{margin:.35rem 0;padding-left:.3rem}
.notes li:target{color:var(--ink)}
footer{display:flex;flex-wrap:wrap;gap:.2rem 1.6rem;margin-top:4rem;padding-top:1rem;border-top:1px solid var(--rule);
color:var(--muted);font:.8rem/1.5 var(--sans)}
@media (max-width:40rem){main{padding:2.5rem 1.1rem}h1{font-size:1.9rem}.settings{columns:1}
.gallery,.sounds{grid-template-columns:minmax(0,1fr)}.gallery{gap:.15rem}.gallery .name{margin-top:.5rem}}
@media print{body{font-size:11pt;background:none}nav{display:none}section{margin-top:2rem}
figure,table{break-inside:avoid}.scroll img{min-width:0;max-width:100%}main{max-width:none;padding:0}}
""".strip()
