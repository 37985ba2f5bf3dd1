"""The page's CSS: system fonts, light and dark, one column on a phone."""

CSS = """
:root{--bg:#f6f7f9;--card:#fff;--ink:#17202b;--soft:#5b6876;--faint:#98a3af;--line:#e3e7ec;
--accent:#3568d4;--good:#1f9d61;--bad:#d64545;--hit:53,104,212;--miss:214,69,69;--mark:#eaf1ff}
@media(prefers-color-scheme:dark){:root{--bg:#10151b;--card:#181f27;--ink:#e8edf2;--soft:#a3afbb;
--faint:#6b7783;--line:#2a333d;--accent:#7ba4ff;--good:#3ecf8e;--bad:#ff7b7b;--hit:110,155,255;
--miss:255,123,123;--mark:#1f2c44}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--ink);-webkit-text-size-adjust:100%;
font:15px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
main{max-width:1080px;margin:0 auto;padding:32px 20px 64px}
header{margin-bottom:24px}
h1{font-size:28px;line-height:1.2;margin:0 0 6px;letter-spacing:-.02em}
h2{font-size:18px;margin:0 0 4px;letter-spacing:-.01em}
p{margin:0 0 12px;color:var(--soft);max-width:76ch}
.eyebrow{font-size:12px;text-transform:uppercase;letter-spacing:.08em;
color:var(--faint);margin:0 0 6px}
section{background:var(--card);border:1px solid var(--line);border-radius:14px;padding:22px 24px;
margin:0 0 18px}
.facts{display:flex;flex-wrap:wrap;gap:10px;margin:16px 0 0}
.scroll{scrollbar-width:thin}
.fact{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:10px 16px;
min-width:118px}
.fact b{display:block;font-size:21px;letter-spacing:-.02em;font-variant-numeric:tabular-nums}
.fact span{font-size:12.5px;color:var(--soft)}
.scroll{overflow-x:auto;margin:0 -6px}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{padding:9px 8px;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap}
thead th{font-weight:600;font-size:13px;vertical-align:bottom}
th:first-child,td:first-child{text-align:left}
tbody th{font-weight:500;white-space:normal;min-width:190px}
tbody tr:last-child>*{border-bottom:0}
th small{display:block;font-weight:400;color:var(--soft);font-size:12px}
tr.own{background:var(--mark)}
tr.own th{font-weight:650}
td.best{font-weight:700;color:var(--accent)}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,330px),1fr));gap:18px}
svg{display:block;width:100%;height:auto}
.legend svg{width:14px;height:14px;flex:none}
svg.square{margin:0 auto}
.chart-title{font-size:13.5px;font-weight:600;fill:var(--ink)}
.tick{font-size:11px;fill:var(--soft)}
.grid{stroke:var(--line)}
.chance{stroke:var(--faint);stroke-dasharray:4 4}
.point:hover circle:first-child{r:5.5}
.dot{stroke:var(--card);stroke-width:1;opacity:.88}
.dot:hover{stroke:var(--ink);stroke-width:2;opacity:1}
rect.hit{fill:rgba(var(--hit),calc(.07 + .93*var(--share)))}
rect.miss{fill:rgba(var(--miss),calc(.05 + .9*var(--share)))}
.cell{font-size:11.5px;fill:var(--ink);pointer-events:none}
.cell.strong{fill:#fff;font-weight:600}
.legend{display:flex;flex-wrap:wrap;gap:6px 16px;margin-top:12px;font-size:13px;color:var(--soft)}
.legend span{display:inline-flex;align-items:center;gap:6px}
.neighbours{display:grid;gap:12px}
.row{display:grid;grid-template-columns:repeat(6,minmax(0,1fr));gap:10px;padding-bottom:12px;
border-bottom:1px solid var(--line)}
.row:last-child{border:0;padding-bottom:0}
figure{margin:0;min-width:0}
img.wide{max-width:100%;border-radius:9px;display:block}
figure img,.blank{width:100%;aspect-ratio:1;border-radius:9px;display:block;background:var(--line);
border:3px solid transparent;object-fit:cover}
figure.right img,figure.right .blank{border-color:var(--good)}
figure.wrong img,figure.wrong .blank{border-color:var(--bad)}
figure.query img,figure.query .blank{border-color:var(--faint)}
figcaption{font-size:12px;line-height:1.3;margin-top:5px;overflow-wrap:anywhere}
figcaption small{display:block;color:var(--soft)}
.keys{display:grid;grid-template-columns:max-content 1fr;gap:4px 20px;margin:8px 0 0}
.keys dt{color:var(--soft)}
.keys dd{margin:0;overflow-wrap:anywhere}
.paths{font:12.5px/1.6 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;margin:4px 0 0;
padding-left:18px;color:var(--soft);overflow-wrap:anywhere}
details{margin-top:8px}summary{cursor:pointer}
.note{border-left:3px solid var(--accent);padding-left:12px}
footer{color:var(--faint);font-size:12.5px;text-align:center}
@media(max-width:640px){main{padding:20px 12px 40px}section{padding:16px 14px}h1{font-size:23px}
.row{grid-template-columns:repeat(3,minmax(0,1fr))}.keys{grid-template-columns:1fr;gap:0}
.keys dd{margin-bottom:8px}th,td{padding:8px 7px;font-size:13.5px}
tbody th{min-width:118px}tbody th small{display:none}
.facts{display:grid;grid-template-columns:1fr 1fr;gap:8px}.fact{min-width:0;padding:9px 12px}}
"""
