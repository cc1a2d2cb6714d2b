// Boxes that open in place. Python laid out each box's inside by itself; here they only make room, by the rule of nested.py.
const PAD = 14, HEAD = 26, SVG = 'http://www.w3.org/2000/svg';
const escape = text => String(text).replace(/[&<>"]/g, c => ({'&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;'}[c]));
const num = x => String(Math.round(10 * x) / 10);
function rising(grown) {
  const marks = [...new Set(grown.flatMap(g => [g[0], g[1]]))].sort((a, b) => a - b), steps = [];
  let sum = 0;
  for (let i = 0; i + 1 < marks.length; i++) {
    const [a, b] = [marks[i], marks[i + 1]];
    let more = 1;
    for (const [l, r, w] of grown) if (l <= a && b <= r) more = Math.max(more, w / (r - l));
    steps.push([a, b, more - 1, sum]);
    sum += (b - a) * (more - 1);
  }
  return x => {
    let low = 0, high = steps.length;  // how many begin before it
    while (low < high) { const mid = (low + high) >> 1; if (steps[mid][0] < x) low = mid + 1; else high = mid; }
    if (!low) return x;
    const [a, b, more, before] = steps[low - 1];
    return x + before + (Math.min(x, b) - a) * more;
  };
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
// The inside of a box with what is open in it, as ``place`` in nested.py; kept until something in it opens or closes.
function put(v, path, down) {
  if (!v.places.has(path)) v.places.set(path, laid(v, path, down));
  return v.places.get(path);
}
function laid(v, path, down) {
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
    if (grownX.length) for (const first of [true, false]) {
      const k = first ? e[0] : e[1], at = port(k, first ? e[8] : e[9], !first), now = boxes[k], old = first ? was : [...was].reverse(), fresh = first ? points : [...points].reverse();
      const height = at ? at[across] : now[across] + old[0][across] - l.b[k][across];
      const side = now[1 - across] + (first ? 1 : -1) * now[3 - across] / 2;
      const same = old.length > 2 && Math.abs(old[1][across] - old[0][across]) < 0.01 ? 2 : 1;
      const moved = fresh.slice(0, same).map(p => { const q = [...p]; q[across] = height; return q; });
      const edge = [...moved[0]]; edge[1 - across] = side;
      const kept = [...(at ? [at] : []), edge, ...moved, ...fresh.slice(same)];
      points = first ? kept : kept.reverse();
    }
    points = points.filter((p, i) => !i || Math.hypot(p[0] - points[i - 1][0], p[1] - points[i - 1][1]) > 0.2);
    let label = l.a[j];
    if (label) {
      const on = (ps, x, axis) => { for (let i = 0; i + 1 < ps.length; i++) if (ps[i][axis] <= x && x <= ps[i + 1][axis]) { const t = (x - ps[i][axis]) / ((ps[i + 1][axis] - ps[i][axis]) || 1); return ps[i][1 - axis] + t * (ps[i + 1][1 - axis] - ps[i][1 - axis]); } return ps[ps.length - 1][1 - axis]; };
      const x = fx(label[0]), y = fy(label[1]);
      label = up ? [on(points, y, 1) + label[0] - on(was, label[1], 1), y, label[2], label[3]] : [x, on(points, x, 0) + label[1] - on(was, label[0], 0), label[2], label[3]];
      const spot = grownX.length ? clear(label, points, up ? on(points, y, 1) : on(points, x, 0), across) : label;
      if (spot[across] !== label[across]) spots[j] = spot;
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
// What a line looks like, but for where it is: drawn from its first point.
const shapeOf = line => { const [x, y] = line.points[0]; return [...line.points.flatMap(p => [p[0] - x, p[1] - y]), ...(line.label ? [line.label[0] - x, line.label[1] - y] : [])]; };
const alike = (a, b) => a.length === b.length && a.every((x, i) => Math.abs(x - b[i]) < 0.1);
function strokes(e, line) {
  const [dx, dy] = line.points[0], ps = line.points.map(([x, y]) => [x - dx, y - dy]), back = [...ps].reverse(), width = 2, dash = DASH[e[6]] ? ` stroke-dasharray="${DASH[e[6]]}"` : '';
  const stop = ends(ps, line, width), last = stop[stop.length - 1], tip = ps[ps.length - 1];
  let m = `<path d="${pathOf(stop, line)}"${dash}/>`;
  m += `<polygon class="head" points="${headOf(ps, line, width)}"/><path class="tail" d="M${last.map(num).join(' ')}L${tip.map(num).join(' ')}"/><polygon class="tail" points="${headOf(back, line, width)}"/>`;
  if (e[5]) {
    const [ax, ay] = arrival(ps, line);
    m += `<path class="barrier" d="${[12, 16].map(b => { const x = tip[0] - b * ax, y = tip[1] - b * ay; return `M${num(x - 6 * ay)} ${num(y + 6 * ax)}L${num(x + 6 * ay)} ${num(y - 6 * ax)}`; }).join('')}"/>`;
  }
  if (line.label) {
    const [x, y, w] = line.label, cx = num(x - dx + w / 2 - 7.5), cy = y - dy;
    let left = x - dx - w / 2;
    for (const letter of e[10] || '') {
      m += `<g class="letter" data-lane="${e[6]}" data-route="${letter}"><circle cx="${num(left + 8)}" cy="${num(cy)}" r="8"/><text x="${num(left + 8)}" y="${num(cy + 4)}">${letter}</text></g>`;
      left += 18;
    }
    if (e[3]) m += `<text x="${num(left)}" y="${num(cy + 4.5)}">${escape(e[3])}</text>`;
    if (e[4]) m += `<circle class="sum" cx="${cx}" cy="${num(cy)}" r="7.5"/><text class="on-sum" x="${cx}" y="${num(cy + 4)}">Σ</text>`;
  }
  return m;
}
const at00 = ([x, y]) => ` transform="translate(${num(x)} ${num(y)})"`;
function edgeMarkup(i, e, line, words) {
  return `<g class="edge" data-edge="${i}" data-lane="${e[6]}" style="--w:${e[7]}" role="img" aria-label="${escape(words)}"${at00(line.points[0])}><title>${escape(words)}</title>${strokes(e, line)}</g>`;
}
// From its centre.
function nodeMarkup(i, key, n, box, said) {
  const [, , w, h] = box, rect = `<rect x="${num(-w / 2)}" y="${num(-h / 2)}" width="${num(w)}" height="${num(h)}" rx="${n[3] ? num(h / 2) : 8}"/>`;
  const kind = n[3] ? 'node port' : n[4] ? 'node box' : 'node', opens = n[4] ? ` data-open="${escape(n[4])}" aria-expanded="false"` : '';
  const start = `<g class="${kind}" data-node="${i}" data-key="${escape(key)}" data-role="${n[2]}"${opens} tabindex="0" role="button" aria-label="${escape(said)}${n[4] ? '; Enter opens it' : ''}"${at00(box)}><title>${escape([n[0], ...n[1]].join(', '))}${n[4] ? '; opens' : ''}</title>${rect}`;
  if (n[3]) return `${start}<text x="0" y="4.5">${escape(n[0])}</text></g>`;
  const lines = n[1].map((t, k) => `<text x="0" y="${num(-h / 2 + 22 + 16.5 * (k + 1))}">${escape(t)}</text>`).join('');
  return `${start}<text x="0" y="${num(-h / 2 + 22)}">${escape(n[0])}</text>${lines}${n[4] ? `<text class="opens" x="${num(w / 2 - 8)}" y="${num(-h / 2 + 12)}">+</text>` : ''}</g>`;
}
// An open box, from its corner; its inside comes into the last of its groups.
function frameMarkup(path, key, L, box) {
  const title = L.t + (L.o ? ` (${L.o})` : ''), [, , w, h] = box;
  return `<g class="open" data-key="${escape(key)}"${at00(cornerOf(box))}><g class="frame" data-frame="${escape(path)}" data-key="${escape(key)}" tabindex="0" role="button" aria-expanded="true" aria-label="${escape(title)}, open; − closes it"><title>${escape(title)}: − or Escape closes it</title><rect width="${num(w)}" height="${num(h)}" rx="10"/><text x="10" y="17">− ${escape(title)}</text></g><g class="inside" transform="translate(${PAD} ${HEAD})"></g></g>`;
}
const cornerOf = ([x, y, w, h]) => [x - w / 2, y - h / 2];
