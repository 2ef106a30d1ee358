"""The wing for browsers: a log is an IndexedDB database, Python runs in a worker. All that may import `js` or `pyodide`."""
