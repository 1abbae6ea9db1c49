#include "engine/report/ReportStyle.h"

namespace lockstep {

// Colours of lines have a contrast of 3 : 1 and more with their background, and differ in lightness for those who see
// few colours; besides, lines are named at their ends.
const char* const kReportStyle = R"css(
:root{color-scheme:light dark;--ground:#f7f7f5;--card:#fff;--ink:#1b1e22;--soft:#5b636d;--rule:#e2e4e7;--bad:#b42318;
--c0:#0a66c2;--c1:#c2410c;--c2:#0f766e;--c3:#7c3aed;--c4:#8a6100;--c5:#be185d;--c6:#566274;--c7:#15803d}
@media (prefers-color-scheme:dark){:root{--ground:#121417;--card:#1a1d21;--ink:#e6e8eb;--soft:#a0a8b2;--rule:#2f353c;
--bad:#ff8b7e;--c0:#6fb1ff;--c1:#ff9a62;--c2:#4fd1c5;--c3:#b69cff;--c4:#e3b341;--c5:#ff8ac0;--c6:#a5b4c7;--c7:#6ee08a}}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",
Arial,"DejaVu Sans",sans-serif}
main{max-width:1560px;margin:0 auto;padding:24px 20px 48px}
h1{font-size:24px;line-height:1.25;margin:0;overflow-wrap:anywhere}
h2{font-size:17px;margin:32px 0 10px}
header p{margin:4px 0 0;color:var(--soft)}
header p.failed{color:var(--bad);white-space:pre-wrap;overflow-wrap:anywhere}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:10px;margin:20px 0 0}
.tile,.card{background:var(--card);border:1px solid var(--rule);border-radius:8px}
.tile{padding:10px 14px}
.tile b{display:block;font-size:22px;line-height:1.25;font-weight:600;font-variant-numeric:tabular-nums}
.tile span{color:var(--soft);font-size:13px}
.grid2{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,400px),1fr));gap:14px;margin-top:14px}
.card{margin:0;padding:14px 16px 16px;min-width:0;container-type:inline-size}
figcaption,.card h3{font-size:15px;font-weight:600;margin:0 0 10px}
figcaption span,.card h3 span{font-weight:400;color:var(--soft);font-size:13px;margin-left:8px}
.plot{position:relative;height:220px;margin:10px var(--labels) 40px 52px;font-size:12px}
.plot svg{position:absolute;inset:0;width:100%;height:100%;overflow:visible}
.plot .y,.plot .x,.plot .xname{position:absolute;color:var(--soft);white-space:nowrap;font-variant-numeric:tabular-nums}
.plot .y{right:calc(100% + 8px);transform:translateY(-50%)}
.plot .x{top:calc(100% + 4px);transform:translateX(-50%)}
.plot .xname{top:calc(100% + 20px);right:0}
.plot .end{position:absolute;left:calc(100% + 8px);transform:translateY(-50%);white-space:nowrap;line-height:17px}
.end b,.legend b{font-variant-numeric:tabular-nums;font-weight:600}
.end.c0,.legend .c0{color:var(--c0)}.end.c1,.legend .c1{color:var(--c1)}.end.c2,.legend .c2{color:var(--c2)}
.end.c3,.legend .c3{color:var(--c3)}.end.c4,.legend .c4{color:var(--c4)}.end.c5,.legend .c5{color:var(--c5)}
.end.c6,.legend .c6{color:var(--c6)}.end.c7,.legend .c7{color:var(--c7)}
.legend{display:none;flex-wrap:wrap;gap:2px 14px;font-size:13px}
@container (max-width:430px){.plot{margin-right:10px;margin-left:44px}.plot .end{display:none}.legend{display:flex}}
svg path{vector-effect:non-scaling-stroke;fill:none}
svg .grid{stroke:var(--rule);stroke-width:1}
svg .line{stroke-width:1.8;stroke-linejoin:round;stroke:var(--k)}
svg .dots{stroke-width:6;stroke-linecap:round;stroke:var(--k)}
svg .band{fill:var(--k);opacity:.16}
svg .fill{fill:var(--k);opacity:.85}
.c0{--k:var(--c0)}.c1{--k:var(--c1)}.c2{--k:var(--c2)}.c3{--k:var(--c3)}.c4{--k:var(--c4)}.c5{--k:var(--c5)}.c6{--k:var(--c6)}
.c7{--k:var(--c7)}
.cursor{position:absolute;top:0;bottom:0;width:1px;background:var(--soft);pointer-events:none}
.tip{position:absolute;top:4px;z-index:2;background:var(--card);border:1px solid var(--rule);border-radius:6px;padding:4px 8px;
pointer-events:none;white-space:nowrap;box-shadow:0 2px 8px rgb(0 0 0/.18);font-variant-numeric:tabular-nums}
.bars{display:grid;grid-template-columns:max-content 1fr max-content;gap:6px 10px;align-items:center;font-size:13px}
.bar{display:flex;height:18px;border-radius:3px;overflow:hidden;min-width:0}
.bar i{background:var(--k);height:100%;flex:none;opacity:.85}
.bars .value{font-variant-numeric:tabular-nums;color:var(--soft)}
.keys{display:flex;flex-wrap:wrap;gap:2px 14px;font-size:13px;margin:0 0 10px}
.keys span::before{content:"";display:inline-block;width:10px;height:10px;border-radius:2px;background:var(--k);margin-right:6px}
.remark{margin:10px 0 0;color:var(--soft);font-size:13px}
.wide{overflow-x:auto}
table{border-collapse:collapse;font-size:13px;width:100%}
th,td{text-align:left;padding:5px 14px 5px 0;border-top:1px solid var(--rule);vertical-align:top;overflow-wrap:anywhere}
tr:first-child>*{border-top:0}
thead th{font-weight:600;color:var(--soft);white-space:nowrap;overflow-wrap:normal}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.facts th{font-weight:400;color:var(--soft);white-space:nowrap;overflow-wrap:normal}
td.best{font-weight:700}
.wide td{white-space:nowrap}
.dot::before{content:"";display:inline-block;width:10px;height:10px;border-radius:50%;background:var(--k);margin-right:8px}
summary{cursor:pointer;color:var(--soft);font-size:13px;padding:8px 0}
.matrix{width:auto;font-size:12px}
.matrix td,.matrix th{border:0;padding:0;text-align:center;overflow-wrap:normal}
.matrix td{min-width:26px;height:26px;padding:0 4px;font-variant-numeric:tabular-nums;border:1px solid var(--card)}
.matrix th{font-weight:400;color:var(--soft);padding:0 6px;max-width:9em;overflow:hidden;text-overflow:ellipsis;white-space:nowrap}
.pictures{display:grid;gap:8px}
.pictures div{min-width:0;font-size:12px;color:var(--soft);text-align:center;overflow:hidden;text-overflow:ellipsis;white-space:nowrap}
.pictures svg{display:block;width:100%;image-rendering:pixelated;border-radius:3px}
@media (max-width:560px){main{padding:16px 12px 32px}.tiles{grid-template-columns:repeat(2,1fr)}.tile b{font-size:19px}}
@media print{.card,.tile{break-inside:avoid}}
)css";

const char* const kReportScript = R"js(
const charts = JSON.parse(document.getElementById('data').textContent).charts;
const text = v => v === null || v === undefined ? '–' : Math.abs(v) >= 1000 ? Math.round(v).toLocaleString('en') : +v.toPrecision(4) + '';
for (const chart of charts) {
  const plot = document.querySelector('#' + chart.id + ' .plot');
  if (!plot) continue;
  const [least, most] = [Math.min(...chart.lines.map(l => Math.min(...l.x))), Math.max(...chart.lines.map(l => Math.max(...l.x)))];
  const cursor = Object.assign(document.createElement('div'), {className: 'cursor', hidden: true});
  const tip = Object.assign(document.createElement('div'), {className: 'tip', hidden: true});
  plot.append(cursor, tip);
  const nearest = (xs, x) => {
    let low = 0, high = xs.length - 1;
    while (high - low > 1) { const mid = low + high >> 1; xs[mid] < x ? low = mid : high = mid; }
    return Math.abs(xs[low] - x) <= Math.abs(xs[high] - x) ? low : high;
  };
  plot.addEventListener('pointermove', event => {
    const box = plot.getBoundingClientRect();
    const share = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
    const span = most > least ? most - least : 1, from = most > least ? least : least - .5;
    const x = from + share * span;
    const rows = chart.lines.map(l => [l, nearest(l.x, x)]);
    const at = rows[0][0].x[rows[0][1]];
    cursor.style.left = 100 * (at - from) / span + '%';
    tip.replaceChildren(document.createTextNode(chart.x + ' ' + text(at)));
    for (const [line, i] of rows) {
      const row = document.createElement('div');
      row.textContent = (line.label ? line.label + ' ' : '') + text(line.y[i]);
      tip.append(row);
    }
    tip.style.left = share < .5 ? 100 * share + 2 + '%' : '';
    tip.style.right = share < .5 ? '' : 100 * (1 - share) + 2 + '%';
    cursor.hidden = tip.hidden = false;
  });
  plot.addEventListener('pointerleave', () => { cursor.hidden = tip.hidden = true; });
}
)js";

}  // namespace lockstep
