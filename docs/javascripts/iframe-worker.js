// The search runs in a worker, which browsers do not start from a file: here a hidden frame does its work.
if (location.protocol === 'file:') {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      const frame = document.createElement('iframe');
      frame.hidden = true;
      document.body.appendChild(frame);
      this.scope = frame.contentWindow;
      this.scope.postMessage = (data) => this.dispatchEvent(new MessageEvent('message', { data }));
      this.scope.importScripts = (...urls) => Promise.all(urls.map((script) => this.load(script)));
      this.ready = this.load(url);
    }

    load(url) {
      const script = this.scope.document.createElement('script');
      script.src = url;
      this.scope.document.body.appendChild(script);
      return new Promise((resolve) => script.addEventListener('load', resolve));
    }

    postMessage(data) {
      this.ready.then(() => this.scope.dispatchEvent(new MessageEvent('message', { data })));
    }
  };
}
