// Boxes that open in place. Python laid out each box's inside by itself; here they only make room, by the rule of nested.py.
const PAD = 14, HEAD = 26, SVG = 'http://www.w3.org/2000/svg';
const escape = text => String(text).replace(/[&<>"]/g, c => ({'&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;'}[c]));
const num = x => String(Math.round(10 * x) / 10);
const narrow = () => innerWidth <= 560;
const isNested = () => !!view().nested;
function rising(grown) {
  const marks = [...new Set(grown.flatMap(g => [g[0], g[1]]))].sort((a, b) => a - b), steps = [];
  for (let i = 0; i + 1 < marks.length; i++) {
    const [a, b] = [marks[i], marks[i + 1]];
    let more = 1;
    for (const [l, r, w] of grown) if (l <= a && b <= r) more = Math.max(more, w / (r - l));
    steps.push([a, b, more - 1]);
  }
  return x => steps.reduce((y, [a, b, more]) => x > a ? y + (Math.min(x, b) - a) * more : y, x);
}
// A label beside its line, where that bends under it, too.
function clear(label, points, level, across) {
  const along = 1 - across, half = [label[2] / 2, label[3] / 2], made = [...label], near = [];
  for (let i = 0; i + 1 < points.length; i++) {
    const p = points[i], q = points[i + 1];
    if (Math.min(p[along], q[along]) < label[along] + half[along] && Math.max(p[along], q[along]) > label[along] - half[along]) near.push(p[across], q[across]);
  }
  if (near.length) made[across] = label[across] <= level ? Math.min(label[across], Math.min(...near) - half[across] - 2) : Math.max(label[across], Math.max(...near) + half[across] + 2);
  return made;
}
// The inside of a box with what is open in it: as ``place`` in nested.py.
function put(v, path, down) {
  const L = v.levels[path], l = L.l[Math.min(down, L.l.length - 1)], inner = {}, grownX = [], grownY = [];
  L.n.forEach((n, k) => { if (n[4] && v.opened.has(n[4])) inner[k] = put(v, n[4], down); });
  const size = k => { const p = inner[k], t = v.levels[p.path].tw; return [Math.max(p.w, t) + 2 * PAD, p.h + HEAD + PAD]; };
  for (const k in inner) {
    const [x, y, w, h] = l.b[k], [W, H] = size(k);
    grownX.push([x - w / 2, x + w / 2, W]);
    grownY.push([y - h / 2, y + h / 2, H]);
  }
  const fx = rising(grownX), fy = rising(grownY), up = l.k >= 2;
  const boxes = l.b.map(([x, y, w, h], k) => [(fx(x - w / 2) + fx(x + w / 2)) / 2, (fy(y - h / 2) + fy(y + h / 2)) / 2, ...(inner[k] ? size(k) : [w, h])]);
  const corner = k => [boxes[k][0] - boxes[k][2] / 2 + PAD, boxes[k][1] - boxes[k][3] / 2 + HEAD];
  const port = (k, i, comes) => {
    if (!inner[k] || i < 0) return null;
    const [x, y, w, h] = inner[k].boxes[i], [dx, dy] = corner(k), s = comes ? -1 : 1;
    return inner[k].up ? [dx + x, dy + y + s * h / 2] : [dx + x + s * w / 2, dy + y];
  };
  const spots = {};
  const lines = l.p.map((flat, j) => {
    const e = L.e[j], was = [];
    for (let i = 0; i < flat.length; i += 2) was.push([flat[i], flat[i + 1]]);
    let points = was.map(([x, y]) => [fx(x), fy(y)]);
    const across = up ? 0 : 1;
    if (Object.keys(inner).length) for (const first of [true, false]) {
      const k = first ? e[0] : e[1], at = port(k, first ? e[8] : e[9], !first), now = boxes[k], old = first ? was : [...was].reverse(), fresh = first ? points : [...points].reverse();
      const height = at ? at[across] : now[across] + old[0][across] - l.b[k][across];
      const side = now[1 - across] + (first ? 1 : -1) * now[3 - across] / 2;
      const same = old.length > 2 && Math.abs(old[1][across] - old[0][across]) < 0.01 ? 2 : 1;
      const moved = fresh.slice(0, same).map(p => { const q = [...p]; q[across] = height; return q; });
      const edge = [...moved[0]]; edge[1 - across] = side;
      const kept = [...(at ? [at] : []), edge, ...moved, ...fresh.slice(same)];
      points = first ? kept : kept.reverse();
    }
    points = points.filter((p, i) => !i || Math.hypot(p[0] - points[i - 1][0], p[1] - points[i - 1][1]) > 0.05);
    let label = l.a[j];
    if (label) {
      const on = (ps, x, axis) => { for (let i = 0; i + 1 < ps.length; i++) if (ps[i][axis] <= x && x <= ps[i + 1][axis]) { const t = (x - ps[i][axis]) / ((ps[i + 1][axis] - ps[i][axis]) || 1); return ps[i][1 - axis] + t * (ps[i + 1][1 - axis] - ps[i][1 - axis]); } return ps[ps.length - 1][1 - axis]; };
      const x = fx(label[0]), y = fy(label[1]);
      label = up ? [on(points, y, 1) + label[0] - on(was, label[1], 1), y, label[2], label[3]] : [x, on(points, x, 0) + label[1] - on(was, label[0], 0), label[2], label[3]];
      if (Object.keys(inner).length) spots[j] = clear(label, points, up ? on(points, y, 1) : on(points, x, 0), across);
    }
    return {points, label, smooth: l.k % 2 === 1, up};
  });
  const over = (a, b) => Math.abs(a[0] - b[0]) < (a[2] + b[2]) / 2 && Math.abs(a[1] - b[1]) < (a[3] + b[3]) / 2;
  for (const j in spots) if (![...boxes, ...lines.filter((other, i) => other.label && i !== +j).map(other => other.label)].some(b => over(spots[j], b))) lines[j].label = spots[j];
  return {path, boxes, lines, inner, corner, up, w: fx(l.w), h: fy(l.h)};
}
// The pen: as pen.py.
const toward = (p, q) => { const d = Math.hypot(q[0] - p[0], q[1] - p[1]) || 1; return [(q[0] - p[0]) / d, (q[1] - p[1]) / d]; };
function arrival(ps, line) {
  const tip = ps[ps.length - 1], before = ps[ps.length - 2];
  if (!line.smooth) return toward(before, tip);
  const axis = line.up ? 1 : 0, along = tip[axis] >= before[axis] ? 1 : -1;
  return line.up ? [0, along] : [along, 0];
}
function headOf(ps, line, width) {
  const [x, y] = ps[ps.length - 1], [dx, dy] = arrival(ps, line), long = 6 + 1.6 * width, half = 2.6 + 0.8 * width;
  return [[x, y], [x - long * dx - half * dy, y - long * dy + half * dx], [x - long * dx + half * dy, y - long * dy - half * dx]].map(p => p.map(num).join()).join(' ');
}
function ends(ps, line, width) {
  const [x, y] = ps[ps.length - 1], [dx, dy] = arrival(ps, line), back = 4.5 + 1.6 * width, kept = ps.slice(0, -1);
  while (kept.length > 1 && line.smooth && Math.hypot(kept[kept.length - 1][0] - x, kept[kept.length - 1][1] - y) < back) kept.pop();
  return [...kept, [x - back * dx, y - back * dy]];
}
function pathOf(ps, line) {
  let d = `M${ps[0].map(num).join(' ')}`;
  for (let i = 1; i < ps.length; i++) {
    const [x1, y1] = ps[i - 1], [x2, y2] = ps[i];
    if (line.smooth) {
      const curved = Math.abs(line.up ? x1 - x2 : y1 - y2) >= 0.05, m = num(line.up ? (y1 + y2) / 2 : (x1 + x2) / 2);
      d += !curved ? `L${num(x2)} ${num(y2)}` : line.up ? `C${num(x1)} ${m} ${num(x2)} ${m} ${num(x2)} ${num(y2)}` : `C${m} ${num(y1)} ${m} ${num(y2)} ${num(x2)} ${num(y2)}`;
    } else if (i < ps.length - 1) {
      const a = toward(ps[i - 1], ps[i]), b = toward(ps[i], ps[i + 1]), r = Math.min(8, Math.hypot(x2 - x1, y2 - y1) / 2, Math.hypot(ps[i + 1][0] - x2, ps[i + 1][1] - y2) / 2);
      d += `L${num(x2 - r * a[0])} ${num(y2 - r * a[1])}Q${num(x2)} ${num(y2)} ${num(x2 + r * b[0])} ${num(y2 + r * b[1])}`;
    } else d += `L${num(x2)} ${num(y2)}`;
  }
  return d;
}
const DASH = {above: '9 4', below: '3 3'};
function edgeMarkup(i, e, line, dx, dy, words) {
  const ps = line.points.map(([x, y]) => [x + dx, y + dy]), back = [...ps].reverse(), width = 2, dash = DASH[e[6]] ? ` stroke-dasharray="${DASH[e[6]]}"` : '';
  const stop = ends(ps, line, width), last = stop[stop.length - 1], tip = ps[ps.length - 1];
  let m = `<g class="edge" data-edge="${i}" data-lane="${e[6]}" style="--w:${e[7]}" role="img" aria-label="${escape(words)}"><title>${escape(words)}</title><path d="${pathOf(stop, line)}"${dash}/>`;
  m += `<polygon class="head" points="${headOf(ps, line, width)}"/><path class="tail" d="M${last.map(num).join(' ')}L${tip.map(num).join(' ')}"/><polygon class="tail" points="${headOf(back, line, width)}"/>`;
  if (e[5]) {
    const [ax, ay] = arrival(ps, line);
    m += `<path class="barrier" d="${[12, 16].map(b => { const x = tip[0] - b * ax, y = tip[1] - b * ay; return `M${num(x - 6 * ay)} ${num(y + 6 * ax)}L${num(x + 6 * ay)} ${num(y - 6 * ax)}`; }).join('')}"/>`;
  }
  if (line.label) {
    const [x, y, w] = line.label, left = x + dx - w / 2, cx = num(x + dx + w / 2 - 7.5), cy = y + dy;
    if (e[3]) m += `<text x="${num(left)}" y="${num(cy + 4.5)}">${escape(e[3])}</text>`;
    if (e[4]) m += `<circle class="sum" cx="${cx}" cy="${num(cy)}" r="7.5"/><text class="on-sum" x="${cx}" y="${num(cy + 4)}">Σ</text>`;
  }
  return m + '</g>';
}
function nodeMarkup(i, key, n, box, dx, dy, said) {
  const x = box[0] + dx, y = box[1] + dy, [, , w, h] = box, rect = `<rect x="${num(x - w / 2)}" y="${num(y - h / 2)}" width="${num(w)}" height="${num(h)}" rx="${n[3] ? num(h / 2) : 8}"/>`;
  const kind = n[3] ? 'node port' : n[4] ? 'node box' : 'node', opens = n[4] ? ` data-open="${escape(n[4])}" aria-expanded="false"` : '';
  const start = `<g class="${kind}" data-node="${i}" data-key="${escape(key)}" data-role="${n[2]}"${opens} tabindex="0" role="button" aria-label="${escape(said)}${n[4] ? '; Enter opens it' : ''}"><title>${escape([n[0], ...n[1]].join(', '))}${n[4] ? '; opens' : ''}</title>${rect}`;
  if (n[3]) return `${start}<text x="${num(x)}" y="${num(y + 4.5)}">${escape(n[0])}</text></g>`;
  const lines = n[1].map((t, k) => `<text x="${num(x)}" y="${num(y - h / 2 + 22 + 16.5 * (k + 1))}">${escape(t)}</text>`).join('');
  return `${start}<text x="${num(x)}" y="${num(y - h / 2 + 22)}">${escape(n[0])}</text>${lines}${n[4] ? `<text class="opens" x="${num(x + w / 2 - 8)}" y="${num(y - h / 2 + 12)}">+</text>` : ''}</g>`;
}
// Everything that is seen now: nodes and edges with numbers of their own, and the story told of just these.
function build(k) {
  const v = data.views[k], svg = all('.view')[k].querySelector('.stage > svg');
  const placed = put(v, '', narrow() ? 1 : 0), frames = [], edges = [], nodes = [];
  v.nodes = []; v.edges = []; v.at = new Map(); v.placed = placed;
  const walk = (p, dx, dy) => {
    const L = v.levels[p.path];
    p.lines.forEach((line, j) => { v.at.set(`e${p.path}:${j}`, v.edges.length); edges.push(edgeMarkup(v.edges.length, L.e[j], line, dx, dy, L.e[j][2] || `${L.n[L.e[j][0]][0]} to ${L.n[L.e[j][1]][0]}: ${L.e[j][3] || '×1, or rearranged'}`)); v.edges.push([p.path, j]); });
    p.boxes.forEach((b, j) => {
      if (p.inner[j]) {
        const inside = p.inner[j], path = inside.path, title = v.levels[path].t + (v.levels[path].o ? ` (${v.levels[path].o})` : '');
        const x = num(b[0] + dx - b[2] / 2), y = num(b[1] + dy - b[3] / 2);
        frames.push(`<g class="frame" data-frame="${escape(path)}" data-key="${escape(`${p.path}:${j}`)}" tabindex="0" role="button" aria-expanded="true" aria-label="${escape(title)}, open; − closes it"><title>${escape(title)}: − or Escape closes it</title><rect x="${x}" y="${y}" width="${num(b[2])}" height="${num(b[3])}" rx="10"/><text x="${num(+x + 10)}" y="${num(+y + 17)}">− ${escape(title)}</text></g>`);
        const [cx, cy] = p.corner(j);
        walk(inside, dx + cx, dy + cy);
        return;
      }
      v.at.set(`n${p.path}:${j}`, v.nodes.length);
      nodes.push(nodeMarkup(v.nodes.length, `${p.path}:${j}`, L.n[j], b, dx, dy, L.i[j].lines.slice(0, 2).join(': ')));
      v.nodes.push([p.path, j]);
    });
  };
  walk(placed, 0, 0);
  v.facts = v.nodes.map(([path, j]) => v.levels[path].i[j]);
  v.steps = storyOf(v);
  svg.innerHTML = `<rect class="paper" x="-40" y="-40" width="${num(placed.w + 80)}" height="${num(placed.h + 80)}"/>${frames.join('')}${edges.join('')}${nodes.join('')}`;
}
function storyOf(v) {
  const told = (path, s) => ({...s, n: v.at.has(`n${path}:${s.n}`) ? v.at.get(`n${path}:${s.n}`) : -1, e: s.e.map(j => v.at.get(`e${path}:${j}`))});
  const inside = (path, k) => { const child = v.levels[path].n[k][4]; return child && v.opened.has(child) ? child : null; };
  const given = path => [...v.levels[path].f.filter(s => s.p === 'given').map(s => told(path, s)), ...v.levels[path].n.flatMap((n, k) => inside(path, k) !== null ? given(inside(path, k)) : [])];
  const forth = path => v.levels[path].f.filter(s => s.p !== 'given').flatMap(s => inside(path, s.n) !== null ? forth(inside(path, s.n)) : [told(path, s)]);
  const back = path => {
    const L = v.levels[path], groups = L.n.map(() => []);
    let target = 0;
    L.b.forEach(s => { if (s.p === 'backward') target = L.e[s.e[0]][1]; groups[target].push(s); });
    return L.n.map((n, k) => k).reverse().flatMap(k => [...(inside(path, k) !== null ? back(inside(path, k)) : []), ...groups[k].map(s => told(path, s))]);
  };
  const last = v.nodes.findIndex(([path, j]) => path === '' && j === v.levels[''].n.length - 1);
  return [...given(''), ...forth(''), ...v.turn.map(s => ({...s, n: last, e: []})), ...back('')];
}
// What signs mean: beside the picture, and under it in a file.
const isWide = item => item[2].startsWith('gradient: over');
function tellLegend(k) {
  all('.view')[k].querySelector('.legend').innerHTML = data.views[k].legend.map(i => `<span${isWide(i) ? ' class="widths"' : ''}>${i[1] ? `<svg aria-hidden="true" width="${i[0]}" height="16" viewBox="0 -12 ${i[0]} 16">${i[1]}</svg>` : ''}${escape(i[2])}</span>`).join('');
}
function below(svg, own) {
  const v = own.viewBox.baseVal, pen = document.createElement('canvas').getContext('2d'), back = own.classList.contains('back') || own.classList.contains('routed'), g = document.createElementNS(SVG, 'g'), s = v.width / own.clientWidth;
  const wide = Math.max(v.width, 360 * s), paper = svg.querySelector('.paper');
  let x = 0, y = 0, made = '';
  pen.font = '11px Verdana, DejaVu Sans, sans-serif';
  for (const [room, sign, text] of view().legend.filter(i => back || !isWide(i))) {
    const shift = sign ? room + 6 : 0, long = shift + 1.06 * pen.measureText(text).width;
    if (x && x + long > wide / s - 24) { x = 0; y += 20; }
    made += `<g transform="translate(${num(x)} ${num(y)})">${sign}<text x="${num(shift)}">${escape(text)}</text></g>`;
    x += long + 20;
  }
  const high = (y + 34) * s;
  g.setAttribute('class', 'legend');
  g.setAttribute('font-size', '11');
  g.setAttribute('transform', `translate(${num(v.x + 12 * s)} ${num(v.y + v.height + 20 * s)}) scale(${s.toFixed(4)})`);
  g.innerHTML = made;
  const ground = document.createElementNS(SVG, 'rect');
  for (const [name, value] of Object.entries({class: 'paper', x: v.x, y: v.y + v.height, width: wide, height: high})) ground.setAttribute(name, value);
  svg.append(ground, g);
  for (const [name, value] of Object.entries({x: v.x, y: v.y, width: wide, height: v.height + high})) paper.setAttribute(name, value);
  svg.setAttribute('viewBox', [v.x, v.y, wide, v.height + high].map(num).join(' '));
  svg.setAttribute('width', Math.ceil(wide / s));
  svg.setAttribute('height', Math.ceil((v.height + high) / s));
  svg.setAttribute('font-family', 'DejaVu Sans, Verdana, Arial, sans-serif');
}
// Opening and closing ------------------------------------------------------------------------------------------------
const calm = () => matchMedia('(prefers-reduced-motion: reduce)').matches;
function change(how, key) {
  const v = view(), svg = box().querySelector('.stage > svg'), was = new Map(), before = v.steps[at];
  const moving = all('.node,.frame', svg), smooth = !calm() && moving.length <= 250;
  moving.forEach(e => { if (smooth || e.dataset.key === key) was.set(e.dataset.key, e.getBoundingClientRect()); });
  how(v);
  build(level);
  const like = v.steps.findIndex(s => s.p === before.p && s.s === before.s), turn = v.steps.findIndex(s => s.p === 'seed');
  at = like >= 0 ? like : Math.min(before.p === 'backward' || before.p === 'sum' ? turn + 1 : Math.max(0, turn - 1), v.steps.length - 1);
  picked = null; drawn = '';
  fitHeight(v);
  const e = key && svg.querySelector(`[data-key="${CSS.escape(key)}"]`), old = was.get(key);
  if (e && old) {
    const now = e.getBoundingClientRect(), s = scaleOf(svg);
    v.seen.x += (now.left - old.left) / s; v.seen.y += (now.top - old.top) / s;
    show(v);
    e.focus({preventScroll: true});
  }
  if (smooth) all('.node,.frame', svg).forEach(n => {
    const a = was.get(n.dataset.key), b = n.getBoundingClientRect(), s = scaleOf(svg);
    if (a && (Math.abs(a.left - b.left) > 1 || Math.abs(a.top - b.top) > 1)) n.animate([{transform: `translate(${(a.left - b.left) / s}px,${(a.top - b.top) / s}px)`}, {transform: 'none'}], {duration: 220, easing: 'ease-out'});
    else if (!a) n.animate([{opacity: 0}, {}], 220);
  });
  refresh();
}
const open = e => { const path = e.dataset.open; stop(); change(v => v.opened.add(path), e.dataset.key); };
function close(e) { const path = e.dataset.frame, key = e.dataset.key; stop(); change(v => [...v.opened].forEach(p => { if (p === path || within(v, p, path)) v.opened.delete(p); }), key); }
function within(v, path, other) {
  return v.levels[other].n.some(n => n[4] && (n[4] === path || within(v, path, n[4])));
}
function around(key) {
  const path = key.slice(0, key.lastIndexOf(':'));
  return path && box().querySelector(`.frame[data-frame="${CSS.escape(path)}"]`);
}
// Nearer and farther ---------------------------------------------------------------------------------------------------
const scaleOf = svg => svg.clientWidth / (svg.viewBox.baseVal.width || 1);
function show(v) {
  const svg = box().querySelector('.stage > svg'), s = v.seen, map = box().querySelector('.map');
  svg.setAttribute('viewBox', [s.x, s.y, s.w, s.h].map(num).join(' '));
  const p = v.placed, part = Math.min(1, s.w / (p.w + 20)) * Math.min(1, s.h / (p.h + 20));
  map.toggleAttribute('hidden', part > 0.7 && !map.hasAttribute('hidden') ? true : part > 0.6);
  if (map.hasAttribute('hidden')) return;
  map.setAttribute('viewBox', `-10 -10 ${num(p.w + 20)} ${num(p.h + 20)}`);
  map.innerHTML = p.boxes.map(([x, y, w, h]) => `<rect x="${num(x - w / 2)}" y="${num(y - h / 2)}" width="${num(w)}" height="${num(h)}"/>`).join('') + `<rect class="here" x="${num(s.x)}" y="${num(s.y)}" width="${num(s.w)}" height="${num(s.h)}"/>`;
}
function fitHeight(v) {
  const svg = box().querySelector('.stage > svg'), wide = svg.clientWidth || 800, s = v.seen ? wide / v.seen.w : 1;
  const high = Math.max(160, Math.min(0.72 * innerHeight, (v.placed.h + 20) * s));
  svg.style.height = `${high}px`;
  if (v.seen) v.seen.h = high / s;
}
function fit(whole) {
  const v = view(), svg = box().querySelector('.stage > svg'), wide = svg.clientWidth || 800, p = v.placed;
  let s = Math.min(1, wide / (p.w + 20));
  if (whole) s = Math.min(s, 0.72 * innerHeight / (p.h + 20)); else s = Math.max(s, 9 / 11);
  const high = Math.max(160, Math.min(0.72 * innerHeight, (p.h + 20) * s));
  svg.style.height = `${high}px`;
  v.seen = {x: wide / s >= p.w + 20 ? (p.w - wide / s) / 2 : -10, y: high / s >= p.h + 20 ? (p.h - high / s) / 2 : -10, w: wide / s, h: high / s};
  show(v);
}
// On paper all of it is seen, whatever was looked at.
let looked = null;
matchMedia('print').addEventListener('change', e => {
  if (!isNested()) return;
  const v = view();
  if (e.matches) { looked = v.seen; fit(true); } else if (looked) { v.seen = looked; looked = null; fitHeight(v); show(v); }
});
function zoom(by, x, y) {
  const v = view(), s = v.seen, svg = box().querySelector('.stage > svg'), now = svg.clientWidth / s.w, next = Math.min(4, Math.max(0.05, now * by)), f = now / next;
  x = x === undefined ? s.x + s.w / 2 : x; y = y === undefined ? s.y + s.h / 2 : y;
  v.seen = {x: x - (x - s.x) * f, y: y - (y - s.y) * f, w: s.w * f, h: s.h * f};
  show(v);
}
function toSee(e) {
  if (!view().seen) fit();
  const v = view(), svg = box().querySelector('.stage > svg'), a = e.getBoundingClientRect(), f = svg.getBoundingClientRect(), s = scaleOf(svg);
  if (a.left >= f.left && a.right <= f.right && a.top >= f.top && a.bottom <= f.bottom) return;
  v.seen.x += (a.left + a.width / 2 - f.left - f.width / 2) / s;
  v.seen.y += (a.top + a.height / 2 - f.top - f.height / 2) / s;
  show(v);
}
function spot(e) {
  const svg = box().querySelector('.stage > svg'), f = svg.getBoundingClientRect(), s = scaleOf(svg), v = view();
  return [v.seen.x + (e.clientX - f.left) / s, v.seen.y + (e.clientY - f.top) / s];
}
function stage(k) {
  const where = all('.view')[k], svg = where.querySelector('.stage > svg'), fingers = new Map();
  let moved = false;
  svg.addEventListener('wheel', e => { e.preventDefault(); if (e.shiftKey) { view().seen.x += (e.deltaX || e.deltaY) / scaleOf(svg); show(view()); } else zoom(Math.exp(-e.deltaY / 400), ...spot(e)); }, {passive: false});
  svg.addEventListener('pointerdown', e => { fingers.set(e.pointerId, e); moved = false; });
  svg.addEventListener('pointermove', e => {
    const old = fingers.get(e.pointerId);
    if (!old) return;
    if (fingers.size === 2) {
      const [other] = [...fingers.values()].filter(f => f.pointerId !== e.pointerId), far = f => Math.hypot(f.clientX - other.clientX, f.clientY - other.clientY);
      if (far(old) > 0) zoom(far(e) / far(old), ...spot(e));
      moved = true;
    } else if (moved || Math.hypot(e.clientX - old.clientX, e.clientY - old.clientY) > 4) {
      const s = scaleOf(svg), v = view();
      v.seen.x -= (e.clientX - old.clientX) / s; v.seen.y -= (e.clientY - old.clientY) / s;
      moved = true;
      show(v);
    } else return;
    fingers.set(e.pointerId, e);
  });
  for (const gone of ['pointerup', 'pointercancel', 'pointerleave']) svg.addEventListener(gone, e => fingers.delete(e.pointerId));
  svg.addEventListener('click', e => {
    if (moved) { moved = false; return; }
    const node = e.target.closest('.node'), frame = e.target.closest('.frame');
    if (node && node.dataset.open && !e.shiftKey) open(node); else if (node) pick(+node.dataset.node); else if (frame && e.target.tagName === 'text') close(frame);
  });
  where.querySelector('.map').addEventListener('click', e => {
    const map = where.querySelector('.map'), f = map.getBoundingClientRect(), b = map.viewBox.baseVal, v = view(), s = Math.min(f.width / b.width, f.height / b.height);
    v.seen.x = b.x + b.width / 2 + (e.clientX - f.left - f.width / 2) / s - v.seen.w / 2;
    v.seen.y = b.y + b.height / 2 + (e.clientY - f.top - f.height / 2) / s - v.seen.h / 2;
    show(v);
  });
  all('[data-stage]', where).forEach(b => b.addEventListener('click', () => ({near: () => zoom(1.25), far: () => zoom(0.8), fit: () => fit(true), all: () => change(v => v.opened.clear())}[b.dataset.stage]())));
}
function stageKey(e) {
  const t = e.target, frame = t.closest && t.closest('.frame'), node = t.closest && t.closest('.node');
  if (node && node.dataset.open && (e.key === 'Enter' || e.key === '+')) open(node);
  else if (frame && ['Enter', '-', '−', 'Escape'].includes(e.key)) close(frame);
  else if (node && ['-', '−', 'Escape'].includes(e.key) && around(node.dataset.key)) close(around(node.dataset.key));
  else if (e.key === 'z' || e.key === 'Z') zoom(e.key === 'z' ? 1.25 : 0.8);
  else if (e.key === 'f') fit(true);
  else return false;
  return true;
}
// All that is in any box, to be found by name, operation, role or shape.
function findNested(words, plain) {
  const v = view(), hits = [];
  for (const path in v.levels) v.levels[path].i.forEach((f, k) => { if (v.levels[path].n[k][3] === 0 && plain(`${f.lines[0]}|${f.lines[1]}|${f.a || ''}`).includes(words)) hits.push([path, k]); });
  return hits;
}
function parentOf(v, path) {
  for (const p in v.levels) { const k = v.levels[p].n.findIndex(n => n[4] === path); if (k >= 0) return [p, k]; }
  return null;
}
function reveal(path, k) {
  const v = view(), way = [];
  for (let p = path; p; p = parentOf(v, p)[0]) way.push(p);
  if (way.some(p => !v.opened.has(p))) change(w => way.forEach(p => w.opened.add(p)));
  const i = v.at.get(`n${path}:${k}`);
  if (i !== undefined) { pick(i); toSee(part('node', i)); }
}
