// The stream of frames: opened, opened again when it breaks, closed while the page is hidden for long.

const RETRY = 3000;
const HIDDEN_FOR = 300_000;

/** A stream that says nothing for so long is lost: the daemon sends a frame each second. */
const SILENT_FOR = 8000;

/** Calls `onFrame` with each frame, `onState` with 'live', 'connecting' or 'lost'. */
export function follow(url, onFrame, onState) {
  let source = null;
  let timer = 0;
  let hiding = 0;

  function open() {
    close();
    onState('connecting');
    source = new EventSource(url);
    source.onmessage = (event) => {
      expect(SILENT_FOR);
      onState('live');
      onFrame(JSON.parse(event.data));
    };
    source.onerror = () => {
      onState('lost');
      if (source.readyState === EventSource.CLOSED) expect(RETRY);
    };
    expect(SILENT_FOR);
  }

  function expect(within) {
    clearTimeout(timer);
    timer = setTimeout(() => { onState('lost'); open(); }, within);
  }

  function close() {
    clearTimeout(timer);
    source?.close();
    source = null;
  }

  document.addEventListener('visibilitychange', () => {
    clearTimeout(hiding);
    if (document.hidden) hiding = setTimeout(close, HIDDEN_FOR);
    else if (!source) open();
  });
  open();
}
