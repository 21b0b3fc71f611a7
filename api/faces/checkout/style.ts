/** Readable in both colour schemes: every text has a contrast of 4.5 : 1 or more (WCAG 2.2, 1.4.3). */
export const STYLE = `
:root{color-scheme:light dark;--ink:#14171f;--soft:#525a6b;--page:#f4f5f8;--card:#fff;--line:#d9dce4;--accent:#3d3bce;--on-accent:#fff;--good:#0b6b3a;--warn:#8a4b00;--bad:#a61b29}
@media (prefers-color-scheme:dark){:root{--ink:#eef0f6;--soft:#a9b0c2;--page:#0f1117;--card:#181b24;--line:#2d3240;--accent:#a9a8ff;--on-accent:#12122a;--good:#5fd38f;--warn:#f0b35a;--bad:#ff8a93}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:16px/1.5 system-ui,sans-serif;display:flex;flex-direction:column;align-items:center;padding:1rem}
header{display:flex;align-items:center;gap:.5rem;font-weight:600;margin:.5rem 0 1rem}
main{width:100%;max-width:26rem;background:var(--card);border:1px solid var(--line);border-radius:16px;padding:1.5rem}
.subject{margin:0;color:var(--soft)}.soft{margin:1.5rem 0 0;font-size:.85rem;color:var(--soft)}
h2{margin:1.5rem 0 0;font-size:1.1rem}h2+dl{margin-top:.25rem}
h1{margin:.25rem 0 1rem;font-size:2.25rem;line-height:1.1;font-variant-numeric:tabular-nums;overflow-wrap:anywhere}
h1 small{font-size:1rem;font-weight:500;color:var(--soft)}
.status{margin:0 0 1rem;padding:.75rem 1rem;border-left:4px solid var(--accent);background:var(--page);border-radius:0 8px 8px 0}
.good{border-color:var(--good)}.warn{border-color:var(--warn)}.bad{border-color:var(--bad)}
.good strong{color:var(--good)}.warn strong{color:var(--warn)}.bad strong{color:var(--bad)}
.pay{text-align:center}
.qr{background:#fff;border-radius:12px;padding:.5rem;max-width:18rem;margin:0 auto}
.qr svg{display:block;width:100%;height:auto}
.button{display:block;margin:.5rem 0;padding:.75rem 1rem;border-radius:10px;background:var(--accent);color:var(--on-accent);font-weight:600;text-decoration:none}
.button.quiet{background:none;color:var(--accent);border:1px solid currentColor}
a:focus-visible,summary:focus-visible{outline:3px solid var(--accent);outline-offset:2px}
details{margin-top:.5rem}summary{cursor:pointer;color:var(--soft)}
.notices{margin:0 0 1rem;padding-left:1.25rem}
table{width:100%;border-collapse:collapse;margin:1.5rem 0 0;font-variant-numeric:tabular-nums}
caption{text-align:left;color:var(--soft);padding-bottom:.25rem}
th{text-align:left;font-weight:400;padding:.4rem .5rem .4rem 0}td{text-align:right;white-space:nowrap;padding:.4rem 0}
tbody tr,tfoot tr{border-top:1px solid var(--line)}tfoot th,tfoot td{font-weight:600}
dl{margin:1.5rem 0 0;font-size:.85rem}dt{color:var(--soft);margin-top:.5rem}dd{margin:0}
code{font:.8rem/1.4 ui-monospace,monospace;overflow-wrap:anywhere}
#announcement{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap;margin:0}
footer{margin:1rem 0;color:var(--soft);font-size:.85rem}
`;
