# URL PASSWORD METHOD FORM PATH...: makes requests as admin; prints a list of [status, body].
import base64, json, sys, urllib.error, urllib.request
url, password, method, form, *paths = sys.argv[1:]
answers = []
for path in paths:
    request = urllib.request.Request(url + path, method=method, data=form.encode() if method == "POST" else None)
    request.add_header("Authorization", "Basic " + base64.b64encode(f"admin:{password}".encode()).decode())
    try:
        answer = urllib.request.urlopen(request, timeout=10)
    except urllib.error.HTTPError as error:
        answer = error
    answers.append([answer.status, answer.read().decode()])
print(json.dumps(answers))
