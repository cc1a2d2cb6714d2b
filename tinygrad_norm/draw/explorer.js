'use strict';
function start(data) {
const get = id => document.getElementById(id);
const all = (what, where = document) => [...where.querySelectorAll(what)];
const make = (tag, text, more) => Object.assign(document.createElement(tag), text === undefined ? {} : {textContent: text}, more);
const tabs = all('[role=tab]').map(t => t.id.slice(4));
let level = 0, at = 0, tab = 'step', picked = null, route = null, timer = null, guessed = false, drawn = '', shown = null, groupsTold = null;
const view = () => data.views[level];
const box = () => all('.view')[level];
const part = (kind, k) => isNested() ? seenOf(view(), kind, k) : box().querySelector(`.${kind}[data-${kind}="${k}"]`);
/* nested */
function heat(k) {
  const m = data.matrices[k], t = make('table', undefined, {className: 'heat'});
  t.createCaption().textContent = `${m.t}  ${m.s}${m.c ? `  (${m.c})` : ''}`;
  m.r.forEach((row, i) => {
    const r = t.insertRow();
    if (row) row.split(' ').forEach((v, j) => {
      const s = (m.h[i].charCodeAt(j) - 77) / 12, cell = r.insertCell();
      cell.textContent = v;
      cell.style.setProperty('--s', Math.abs(s).toFixed(2));
      if (s < 0) cell.className = 'minus';
    });
  });
  return t;
}
function numbers(list) {
  const d = make('div', undefined, {className: 'numbers'});
  d.append(...list.map(heat));
  return d;
}
function choices(where, options, answer, because, then) {
  const said = make('span', '', {role: 'status'});
  const buttons = options.map((text, k) => {
    const b = make('button', text, {type: 'button'});
    b.addEventListener('click', () => {
      buttons.forEach((other, i) => other.classList.toggle('right', i === answer));
      b.classList.toggle('wrong', k !== answer);
      said.textContent = (k === answer ? 'Yes. ' : 'No. ') + because;
      if (then) then();
    });
    return b;
  });
  where.replaceChildren(...buttons, said);
}

const MARKS = ['seen', 'now', 'on', 'picked'], marked = data.views.map(() => new Map());
// Only what is marked otherwise than before is touched.
function marking(wanted) {
  const were = marked[level];
  for (const e of were.keys()) if (!wanted.has(e)) e.classList.remove(...MARKS);
  for (const [e, how] of wanted) if (were.get(e) !== how) MARKS.forEach((name, k) => e.classList.toggle(name, !!(how >> k & 1)));
  marked[level] = wanted;
}
function paint() {
  const s = view().steps[at], turn = view().steps.findIndex(p => p.p === 'seed');
  all('.view').forEach((v, k) => { if (v.hidden !== (k !== level)) v.hidden = k !== level; });
  const svg = box().querySelector('svg');
  all('[data-stage]').forEach(b => { b.disabled = !isNested(); });
  const wanted = new Map(), mark = (kind, k, how) => { const e = part(kind, k); if (e) wanted.set(e, wanted.get(e) | 1 << MARKS.indexOf(how)); };
  const way = route === null || !(view().whole || isNested()) ? null : wayOf(route);
  svg.classList.toggle('routed', !!way);
  svg.classList.toggle('stepping', !way && !(isNested() && !at));
  svg.classList.toggle('back', at > turn);
  all('.widths', box()).forEach(e => { e.hidden = !(at > turn || way); });
  if (way) {
    light(way, (kind, k) => mark(kind, k, 'on'));
  } else {
    if (s.options && at === turn + 1) all('.node,.edge', svg).forEach(e => wanted.set(e, 1));
    for (const p of view().steps.slice(at < turn ? 0 : turn, at + 1)) {
      mark('node', p.n, 'seen');
      p.e.forEach(k => mark('edge', k, 'seen'));
    }
    mark('node', s.n, 'now');
    s.e.forEach(k => mark('edge', k, 'now'));
  }
  if (picked !== null) mark('node', picked, 'picked');
  if (way) all('.letter', svg).filter(e => e.dataset.route === way.letter).forEach(e => wanted.set(e, 4));
  marking(wanted);
  all('.routes td button').forEach(b => b.setAttribute('aria-pressed', b.dataset.route === route));
  all('[data-level]').forEach((b, k) => b.setAttribute('aria-pressed', k === level));
  get('changed').textContent = way ? `Shown: route ${way.letter}, ${way.title}. The next step, or Esc, shows the step again.` : s.c;
  const now = `${level} ${at}`;
  if (now === drawn) return;
  drawn = now;
  const slider = get('at'), last = view().steps.length - 1;
  slider.max = last;
  slider.value = at;
  slider.setAttribute('aria-valuetext', `step ${at + 1} of ${last + 1}`);
  get('back').disabled = at === 0;
  get('on').disabled = at === last;
  get('count').textContent = `${at + 1} of ${last + 1}, ${s.p}`;
  get('said').textContent = s.s;
  const asked = get('ask').contains(document.activeElement);
  if (s.options) choices(get('ask'), s.options, s.answer, s.because); else get('ask').replaceChildren();
  if (asked) get('on').focus();
  get('panel-step').replaceChildren(s.m.length ? numbers(s.m) : make('p', s.options ? 'Choose above, or go on.' : ''));
  all('[data-phase]').forEach(b => {
    b.disabled = !view().steps.some(p => p.p === b.dataset.phase);
    b.setAttribute('aria-current', b.dataset.phase === ({sum: 'backward', guess: 'backward'}[s.p] || s.p));
  });
  const about = part('node', s.n), frame = document.querySelector('.picture');
  if (about && isNested()) toSee(s.n);
  else if (about) {
    const a = about.getBoundingClientRect(), f = frame.getBoundingClientRect();
    if (a.left < f.left || a.right > f.right) frame.scrollLeft += a.left + a.width / 2 - f.left - f.width / 2;
  }
}
function tell() {
  const f = picked === null ? null : view().facts[picked], panel = get('panel-tensor');
  if (!f) { panel.replaceChildren(make('p', 'Choose a tensor: click on one, or go to one with Tab and press Enter.')); return; }
  const steps = view().steps, last = view().whole || isNested() ? steps.findIndex(s => s.p === 'seed') : -1;
  const known = shown === picked || last < 0 || steps.slice(0, at + 1).some(s => s.n === picked && (s.p === 'seed' || s.p === 'sum' || s.p === 'backward')), its = line => line.startsWith('its gradient');
  const lines = known ? f.lines : f.lines.filter(line => !its(line)), tables = known ? f.m : f.m.filter(k => !its(data.matrices[k].t));
  panel.replaceChildren(make('h2', lines[0]), ...lines.slice(1).map(line => make('div', line)), numbers(tables));
  if (!known && f.lines.some(its)) {
    const b = make('button', 'show its gradient, which has not come yet', {type: 'button'});
    b.addEventListener('click', () => { shown = picked; tell(); });
    panel.append(b);
  }
}
// The routes that can be shown in what is seen: of the whole, by letters; or where there are too many, of each box that is open.
function routeGroups() {
  const v = view();
  if (!isNested() || data.routes.some(r => r.on && r.on[level])) return [{head: '', path: null, rows: data.routes, count: '', most: data.most}];
  return ['', ...[...v.opened].sort()].filter(p => v.levels[p].r).map(p => {
    const r = v.levels[p].r, many = typeof r === 'string';
    return {head: p ? v.levels[p].t : 'all of it', path: p, rows: many ? [] : r, count: many ? r : '', most: null};
  });
}
function wayOf(name) {
  for (const g of routeGroups()) for (const r of g.rows) if (routeKey(g, r) === name) return {...r, path: g.path};
  return null;
}
const routeKey = (g, r) => g.path === null ? r.letter : `${g.path}:${r.letter}`;
function light(way, mark) {
  const v = view();
  if (!isNested()) { way.nodes.forEach(k => mark('node', k)); way.edges.forEach(k => mark('edge', k)); return; }
  const node = (path, k) => { const i = v.from[path] + k, child = v.levels[path].n[k][4]; if (seenOf(v, 'node', i)) mark('node', i); else if (way.path !== null && child && v.opened.has(child)) inside(child); };
  const edge = (path, j) => { mark('edge', v.firstEdge[path] + j); node(path, v.levels[path].e[j][0]); node(path, v.levels[path].e[j][1]); };
  const inside = path => v.levels[path].e.forEach((e, j) => edge(path, j));
  const on = way.path === null ? way.on[level] : {[way.path]: way.edges};
  for (const path in on) if (!path || v.opened.has(path)) on[path].forEach(j => edge(path, j));
}
// The tables, once they are looked at.
function routesTold() {
  const of = routeGroups().map(g => g.path).join('|') + level;
  if (tab === 'routes' && of !== groupsTold) { groupsTold = of; tellRoutes(); }
}
function tellRoutes() {
  const panel = get('panel-routes'), groups = routeGroups(), asks = !guessed;
  if (!groups.some(g => g.rows.length || g.count)) { panel.replaceChildren(make('p', data.why ? `${data.why} Open a box, and those inside it are told.` : 'One route, or none: nothing to tell apart here.')); return; }
  const shown = groups.map(g => tableOf(g, panel)), all = make('div');
  if (groups[0].path !== null && data.why) all.append(make('p', `${data.why} So they are told box by box: those inside each box that is open, from what comes in to what leaves it.`));
  shown.forEach(s => all.append(...s));
  const tables = [...all.querySelectorAll('table')];
  tables.forEach(t => { t.hidden = asks; });
  if (!asks || !tables.length) { panel.replaceChildren(all); return; }
  const ask = make('div', undefined, {className: 'ask'}), show = make('button', 'just show them', {type: 'button'});
  const reveal = () => { guessed = true; tables.forEach(t => { t.hidden = false; }); show.hidden = true; remember(); };
  show.addEventListener('click', () => { reveal(); (tables[0].querySelector('button') || tables[0]).focus(); });
  const g = groups[0], most = g.most === null ? null : g.rows[g.most];
  if (most) choices(ask, g.rows.map(r => `${r.letter}: ${r.title}`), g.most, `Route ${most.letter} gives the most: its length is ${most.size}.`, reveal);
  panel.replaceChildren(make('p', most ? `Which of the ${g.rows.length} routes gives the most? Guess first.` : 'Which route gives the most? Guess first.'), ask, show, all);
}
function tableOf(g, panel) {
  const made = g.head ? [make('h2', g.count ? `${g.head}: ${g.count} routes` : `${g.head}: ${g.rows.length} routes`)] : [];
  if (!g.rows.length) return made;
  const table = make('table', undefined, {className: 'routes'}), head = table.createTHead().insertRow(), body = table.createTBody();
  ['', 'route', 'length of its share', '', 'the chain rule along it'].forEach(t => head.append(make('th', t, {scope: 'col'})));
  const lights = isNested() || data.views.some(v => v.whole);
  g.rows.forEach(r => {
    const row = body.insertRow(), b = make('button', `show ${r.letter}`, {type: 'button'}), key = routeKey(g, r);
    b.dataset.route = key;
    b.setAttribute('aria-pressed', key === route);
    b.addEventListener('click', () => {
      const whole = data.views.findIndex(v => v.whole), was = route;
      if (!isNested() && !view().whole && whole >= 0) see(whole);
      route = was === key ? null : key;
      refresh();
    });
    row.insertCell().append(lights ? b : r.letter);
    row.insertCell().textContent = r.title;
    row.insertCell().textContent = r.size;
    const bar = make('span', '', {className: 'bar'});
    bar.style.width = `${(10 * r.part).toFixed(2)}rem`;
    row.insertCell().append(bar);
    row.insertCell().append(make('code', r.rules));
  });
  return [...made, table];
}
function choose(name) {
  tab = tabs.includes(name) ? name : 'step';
  tabs.forEach(t => {
    const button = get(`tab-${t}`), on = t === tab;
    button.setAttribute('aria-selected', on);
    button.tabIndex = on ? 0 : -1;
    get(`panel-${t}`).hidden = !on;
  });
  routesTold();
}
function remember() {
  const state = {step: at + 1, level, tab, node: picked, route, theme: document.documentElement.dataset.theme, guessed: guessed ? 1 : null, open: isNested() && [...view().opened].sort().join('|') !== [...view().open].sort().join('|') ? [...view().opened].sort().join('|') || '-' : null};
  const kept = Object.entries(state).filter(([k, v]) => v !== null && v !== undefined && !(k === 'level' && !v) && !(k === 'tab' && v === 'step'));
  history.replaceState(null, '', '#' + kept.map(([k, v]) => `${k}=${encodeURIComponent(v)}`).join('&'));
}
function refresh(quiet) {
  routesTold(); paint(); tell();
  if (!quiet) remember();
}
function go(k) { at = Math.max(0, Math.min(view().steps.length - 1, k)); route = null; refresh(); }
// The step of another level that is most like the one shown: about the same tensor in the same phase, or as far on.
function see(k) {
  const from = view(), s = from.steps[at], to = data.views[k].steps, name = f => f.lines[0].split(' = ')[0];
  const phase = s.p === 'sum' ? ['backward', 'sum'] : s.p === 'guess' ? ['guess', 'seed'] : [s.p];
  const same = to.map((t, i) => i).filter(i => phase.includes(to[i].p));
  const about = same.filter(i => from.facts[s.n] && data.views[k].facts[to[i].n] && name(data.views[k].facts[to[i].n]) === name(from.facts[s.n]));
  const mine = from.steps.map((t, i) => i).filter(i => phase.includes(from.steps[i].p));
  const part = mine.length > 1 ? mine.indexOf(at) / (mine.length - 1) : 1;
  level = k; picked = null; route = null;
  at = about.length ? about[about.length - 1] : same.length ? same[Math.round(part * (same.length - 1))] : 0;
  if (s === from.steps[from.steps.length - 1]) at = to.length - 1;
  if (isNested()) { drawn = ''; paint(); fit(); }
  find();
  refresh();
}
function pick(k, find) {
  picked = k;
  choose('tensor');
  refresh();
  if (isNested()) return;
  const e = part('node', k), frame = document.querySelector('.picture'), a = e.getBoundingClientRect(), f = frame.getBoundingClientRect();
  if (find && (a.left < f.left || a.right > f.right)) frame.scrollLeft += a.left + a.width / 2 - f.left - f.width / 2;
}
function stop() { clearTimeout(timer); timer = null; get('play').textContent = 'play'; get('play').setAttribute('aria-pressed', 'false'); }
function toggle() {
  if (timer) return stop();
  if (at === view().steps.length - 1) go(0);
  const next = () => {
    if (at < view().steps.length - 1) go(at + 1);
    if (at === view().steps.length - 1 || view().steps[at].options) stop(); else wait();
  };
  const wait = () => { timer = setTimeout(next, 1200 + 45 * (view().steps[at].s.length + view().steps[at].c.length)); };  // as long as it takes to read
  wait();
  get('play').textContent = 'stop';
  get('play').setAttribute('aria-pressed', 'true');
}
function dark() {
  const set = document.documentElement.dataset.theme;
  return set ? set === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
}
function theme(name) {
  if (name) document.documentElement.dataset.theme = name;
  get('theme').textContent = dark() ? 'light' : 'dark';
}
function find() {
  const plain = text => text.toLowerCase().replace(/\s+/g, ''), words = plain(get('search').value), hits = [];
  if (isNested()) {
    const found = words ? findNested(words, plain) : [], v = view();
    all('.view .node').forEach(e => e.classList.remove('hit'));
    const hit = ([path, k]) => seenOf(v, 'node', v.from[path] + k);
    found.forEach(p => { while (p && !hit(p)) p = v.parent[p[0]]; if (p) hit(p).classList.add('hit'); });
    get('hits').textContent = words ? `${found.length} found` : '';
    return found;
  }
  view().facts.forEach((f, k) => { if (words && plain(`${f.lines[0]}|${f.lines[1]}|${f.a || ''}`).includes(words)) hits.push(k); });
  all('.view .node').forEach(e => e.classList.remove('hit'));
  hits.forEach(k => part('node', k).classList.add('hit'));
  get('hits').textContent = words ? `${hits.length} found` : '';
  return hits;
}
// What is seen, as a file for whatever draws SVG: what the page's rules say of each element stands at the element.
const hex = colour => { const c = colour.match(/[\d.]+/g); return colour.startsWith('rgb(') ? '#' + c.map(x => (+x).toString(16).padStart(2, '0')).join('') : colour; };
function plainly(svg) {
  const drawn = all('path,rect,circle,polygon,text,g', svg).map(e => [e, getComputedStyle(e)]).map(([e, s]) => {
    const own = {opacity: s.opacity === '1' ? null : s.opacity}, stroked = s.stroke !== 'none' && parseFloat(s.strokeWidth) > 0;
    if (e.tagName !== 'g') Object.assign(own, {fill: hex(s.fill), 'fill-opacity': s.fillOpacity === '1' ? null : s.fillOpacity, stroke: stroked ? hex(s.stroke) : null, 'stroke-width': stroked ? parseFloat(s.strokeWidth) : null});
    if (e.tagName === 'text') Object.assign(own, {'font-size': parseFloat(s.fontSize), 'font-weight': s.fontWeight === '400' ? null : s.fontWeight, 'text-anchor': s.textAnchor === 'start' ? null : s.textAnchor});
    return [e, own, s.visibility === 'hidden' || s.display === 'none'];
  });
  for (const [e, own, hidden] of drawn) {
    if (hidden) { e.remove(); continue; }
    e.removeAttribute('style');
    for (const name in own) if (own[name] === null) e.removeAttribute(name); else e.setAttribute(name, own[name]);
    if (e.tagName !== 'text' || own.stroke === null) continue;
    const halo = e.cloneNode(true);  // under it: not everybody can paint a stroke first
    halo.setAttribute('fill', own.stroke);
    halo.setAttribute('aria-hidden', 'true');
    e.before(halo);
    e.removeAttribute('stroke'); e.removeAttribute('stroke-width');
  }
}
function picture() {
  const own = box().querySelector('svg'), svg = own.cloneNode(true);
  svg.setAttribute('role', 'img');
  if (isNested()) below(svg, own);
  const look = svg.style.cssText;
  svg.style.cssText = `${look};position:absolute;left:-200vw`;  // on the page for a moment, where its rules hold
  own.after(svg);
  const ink = hex(getComputedStyle(svg).fill);
  plainly(svg);
  svg.remove();
  svg.removeAttribute('style');
  svg.setAttribute('fill', ink);
  all('[tabindex]', svg).forEach(e => { e.removeAttribute('tabindex'); e.removeAttribute('role'); });
  return new XMLSerializer().serializeToString(svg);
}
function hand(blob, kind) {
  const a = make('a', '', {href: URL.createObjectURL(blob), download: `${data.name.replace(/[^\p{L}\p{N}]+/gu, '_').slice(0, 60)}_${at + 1}.${kind}`});
  a.click();
  setTimeout(() => URL.revokeObjectURL(a.href), 10000);
}
function save(kind) {
  if (kind === 'svg') return hand(new Blob([picture()], {type: 'image/svg+xml'}), kind);
  if (kind === 'json') return hand(new Blob([JSON.stringify(data, (name, v) => v && v.nested ? {label: v.label, whole: v.whole, note: v.note, nested: true, open: v.open, levels: v.levels, turn: v.turn, legend: v.legend} : v, 1)], {type: 'application/json'}), kind);
  const text = picture(), box = new DOMParser().parseFromString(text, 'image/svg+xml').documentElement, image = new Image(), canvas = document.createElement('canvas');
  canvas.width = 2 * box.getAttribute('width');
  canvas.height = 2 * box.getAttribute('height');
  image.onload = () => { canvas.getContext('2d').drawImage(image, 0, 0, canvas.width, canvas.height); canvas.toBlob(blob => { if (blob) hand(blob, kind); else get('hits').textContent = 'too large for a PNG: take the SVG'; }, 'image/png'); };
  image.src = 'data:image/svg+xml;charset=utf-8,' + encodeURIComponent(text);
}

get('at').addEventListener('input', e => { stop(); go(+e.target.value); });
get('back').addEventListener('click', () => { stop(); go(at - 1); });
get('on').addEventListener('click', () => { stop(); go(at + 1); });
get('play').addEventListener('click', toggle);
get('theme').addEventListener('click', () => { theme(dark() ? 'light' : 'dark'); remember(); });
let turned = -1;
get('search').addEventListener('input', () => { turned = -1; find(); });
get('search').addEventListener('keydown', e => {
  if (e.key === 'Enter' && isNested()) { const hits = find(); if (hits.length) { turned = (turned + 1) % hits.length; reveal(...hits[turned]); get('hits').textContent = `${turned + 1} of ${hits.length}`; } }
  else if (e.key === 'Enter') { const hits = find(); if (hits.length) pick(hits[(hits.indexOf(picked) + 1) % hits.length], true); }
  if (e.key === 'Escape') { e.target.value = ''; find(); e.target.blur(); }
});
all('[data-save]').forEach(b => b.addEventListener('click', () => save(b.dataset.save)));
all('[data-phase]').forEach(b => b.addEventListener('click', () => { stop(); go(view().steps.findIndex(s => s.p === b.dataset.phase)); }));
all('[data-level]').forEach(b => b.addEventListener('click', () => { stop(); see(+b.dataset.level); }));
data.views.forEach((v, k) => { if (v.nested && v.levels.paths) v.levels = Object.fromEntries(v.levels.paths.map((p, i) => [p, Object.fromEntries(v.levels.keys.map((key, j) => [key, v.levels.values[j][i]]))])); });
data.views.forEach((v, k) => { if (v.nested) { v.opened = new Set(v.open); build(k); stage(k); tellLegend(k); } });
addEventListener('resize', () => { if (isNested()) { build(level); fit(); paint(); } });
all('.view').forEach((v, k) => data.views[k].nested || all('.node', v).forEach(n => {
  n.tabIndex = 0;
  n.setAttribute('role', 'button');
  n.setAttribute('aria-label', data.views[k].facts[+n.dataset.node].lines.slice(0, 2).join(': '));
  n.addEventListener('click', () => pick(+n.dataset.node));
}));
all('.view:not(:has(.stage)) .edge').forEach(e => { e.setAttribute('role', 'img'); e.setAttribute('aria-label', e.querySelector('title').textContent); });
all('.view .letter').forEach(e => e.setAttribute('aria-hidden', 'true'));
if (data.formula) get('panel-formula').innerHTML = data.formula;
tabs.forEach(t => get(`tab-${t}`).addEventListener('click', () => { choose(t); remember(); }));
document.querySelector('[role=tablist]').addEventListener('keydown', e => {
  const k = tabs.indexOf(tab), move = {ArrowRight: k + 1, ArrowLeft: k - 1 + tabs.length, Home: 0, End: tabs.length - 1}[e.key];
  if (move === undefined) return;
  const next = tabs[move % tabs.length];
  choose(next); get(`tab-${next}`).focus(); remember();
  e.preventDefault(); e.stopPropagation();
});
document.addEventListener('keydown', e => {
  const t = e.target;
  if (e.altKey || e.ctrlKey || e.metaKey || t.type === 'search') return;
  if (isNested() && stageKey(e)) { e.preventDefault(); return; }
  const steps = {ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: view().steps.length - 1};
  if (e.key in steps) { stop(); go(steps[e.key]); }
  else if ((e.key === 'Enter' || e.key === ' ') && t.classList.contains('node')) pick(+t.dataset.node);
  else if (e.key === ' ' && !/BUTTON|SUMMARY|INPUT|SECTION/.test(t.tagName)) toggle();
  else if (e.key === '/') { get('search').focus(); }
  else if (e.key === 'v') { stop(); see((level + 1) % data.views.length); }
  else if (e.key === 't') get('theme').click();
  else if (/^[1-9]$/.test(e.key) && tabs[e.key - 1]) { choose(tabs[e.key - 1]); remember(); }
  else if (e.key === 'Escape') { route = null; picked = null; refresh(); }
  else return;
  e.preventDefault();
});
function restore() {
  const from = Object.fromEntries(location.hash.slice(1).split('&').filter(Boolean).map(p => { const [k, v] = p.split('='); try { return [k, decodeURIComponent(v || '')]; } catch { return [k, '']; } }));
  const whole = (text, count) => /^\d+$/.test(text || '') && +text < count ? +text : null;
  level = whole(from.level, data.views.length) || 0;
  if (isNested()) {
    const v = view(), wanted = from.open === undefined ? v.open : from.open.split('|').filter(p => p in v.levels && p);
    if ([...v.opened].sort().join() !== [...wanted].sort().join()) { v.opened = new Set(wanted); build(level); }
  }
  at = Math.max(0, Math.min(whole(from.step, 1e6) || 1, view().steps.length) - 1);
  picked = whole(from.node, view().facts.length);
  route = (view().whole || isNested()) && from.route && wayOf(from.route) ? from.route : null;
  guessed = from.guessed === '1';
  drawn = '';
  theme(['light', 'dark'].includes(from.theme) ? from.theme : undefined);
  groupsTold = null;
  choose(from.tab);
  refresh(true);
  if (isNested() && !view().seen) fit();
}
window.addEventListener('hashchange', restore);
restore();
}
const story = document.getElementById('story');
if (story.type === 'application/json') start(JSON.parse(story.textContent));
else new Response(new Blob([Uint8Array.from(atob(story.textContent), c => c.charCodeAt(0))]).stream().pipeThrough(new DecompressionStream('gzip'))).json().then(start);
