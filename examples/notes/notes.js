import { openStore } from './pystore.js';

const NOTES = 'SELECT note_id, text FROM note ORDER BY position DESC';
const FOUND = `SELECT note.note_id, note.text FROM note JOIN note_search ON note_search.rowid = note.position
  WHERE note_search MATCH match_terms(?) ORDER BY rank`;

const [form, search, save, state, list] = ['form', '[type=search]', '#save', 'output', 'ul'].map((each) => document.querySelector(each));

const store = await openStore('my-notes', { schema: 'notes:schema' });

async function append(type, data) {
  try {
    await store.append([{ type, data }]); // on return it is on the disk
    state.value = 'Saved';
    return true;
  } catch (error) {
    state.value = error.message; // a sentence; error.code is for programs
    return false;
  }
}

function show(notes) {
  list.replaceChildren(...notes.map(({ note_id, text }) => {
    const item = document.createElement('li');
    const remove = document.createElement('button');
    remove.textContent = 'Remove';
    remove.onclick = () => append('note.removed', { note_id });
    item.append(text, ' ', remove);
    return item;
  }));
}

let stop = store.watch(NOTES, [], show); // now, and whenever the answer changes, also from another tab

search.oninput = () => {
  stop();
  stop = search.value ? store.watch(FOUND, [search.value], show) : store.watch(NOTES, [], show);
};

form.onsubmit = async (event) => {
  event.preventDefault();
  const text = form.elements.text.value;
  if (await append('note.added', { note_id: crypto.randomUUID(), text })) form.reset();
};

save.onclick = async () => {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(await store.save());
  link.download = 'my-notes.jsonl';
  link.click();
};

document.body.inert = false;
state.value = 'Ready';
