{{/* The beginning of the names of objects. */}}
{{- define "crontab.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 48 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 48 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* What pods are chosen by. It takes the root and the component. */}}
{{- define "crontab.selector" -}}
app.kubernetes.io/name: {{ default .root.Chart.Name .root.Values.nameOverride }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* The labels of every object. It takes the root and the component. */}}
{{- define "crontab.labels" -}}
{{ include "crontab.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* Values that contradict each other, or lack what is needed, say what to write instead. */}}
{{- define "crontab.check" -}}
{{- $etcd := .Values.etcd -}}
{{- if and $etcd.endpoints $etcd.bundled.enabled -}}
{{- fail "etcd.endpoints names your etcd, and etcd.bundled.enabled asks for one of the chart's own: leave one of them out" -}}
{{- end -}}
{{- if not (or $etcd.endpoints $etcd.bundled.enabled) -}}
{{- fail "no job tree is named: set etcd.endpoints={http://etcd:2379} to the address of your etcd, or etcd.bundled.enabled=true for a try-out" -}}
{{- end -}}
{{- if and $etcd.tls.clientCertificate (not $etcd.tls.existingSecret) -}}
{{- fail "etcd.tls.clientCertificate needs etcd.tls.existingSecret: the Secret with ca.crt, tls.crt and tls.key" -}}
{{- end -}}
{{- if ne (empty $etcd.auth.username) (empty $etcd.auth.existingSecret) -}}
{{- fail "etcd.auth needs both username and existingSecret, the Secret with the user's password under the key password" -}}
{{- end -}}
{{- $namespaces := .Values.controller.namespaces -}}
{{- if and (include "crontab.masterWrites" .) $namespaces (not (has (include "crontab.masterNamespace" .) $namespaces)) -}}
{{- fail (printf "the master makes resources in the namespace %s, which controller.namespaces does not name: set master.namespace to one of them, or master.source=etcd" (include "crontab.masterNamespace" .)) -}}
{{- end -}}
{{- $mongodb := .Values.mongodb -}}
{{- $given := 0 -}}
{{- range list $mongodb.uri $mongodb.existingSecret $mongodb.bundled.enabled -}}
{{- if . }}{{ $given = add1 $given }}{{ end -}}
{{- end -}}
{{- if eq (int $given) 0 -}}
{{- fail "no run log is named: set mongodb.existingSecret to a Secret with the address of your MongoDB under the key uri, or mongodb.bundled.enabled=true for a try-out" -}}
{{- end -}}
{{- if gt (int $given) 1 -}}
{{- fail "the run log is named more than once: give one of mongodb.existingSecret, mongodb.uri and mongodb.bundled.enabled" -}}
{{- end -}}
{{- end -}}

{{/* Where the master makes resources. */}}
{{- define "crontab.masterNamespace" -}}
{{- default .Release.Namespace .Values.master.namespace -}}
{{- end -}}

{{/* Whether the master writes resources: something, or nothing. */}}
{{- define "crontab.masterWrites" -}}
{{- if and .Values.master.enabled (eq .Values.master.source "kubernetes") }}yes{{ end -}}
{{- end -}}

{{/* Where resources may choose their job's name, as JSON: a job that is saved by a legacy call has the name it is given. */}}
{{- define "crontab.jobNameNamespaces" -}}
{{- $all := .Values.controller.jobNameNamespaces -}}
{{- if include "crontab.masterWrites" . -}}
{{- $all = append $all (include "crontab.masterNamespace" .) -}}
{{- end -}}
{{- toJson (uniq $all) -}}
{{- end -}}

{{/* Where the job tree is, as environment variables. */}}
{{- define "crontab.etcd.env" -}}
{{- $etcd := .Values.etcd -}}
- name: ETCD_ENDPOINTS
  {{- if $etcd.bundled.enabled }}
  value: http://{{ include "crontab.fullname" . }}-etcd:2379
  {{- else }}
  value: {{ join "," $etcd.endpoints | quote }}
  {{- end }}
- name: ETCD_PREFIX
  value: {{ $etcd.prefix | quote }}
{{- if $etcd.tls.existingSecret }}
- name: ETCD_CACERT
  value: /etc/crontab/etcd-tls/ca.crt
{{- if $etcd.tls.clientCertificate }}
- name: ETCD_CERT
  value: /etc/crontab/etcd-tls/tls.crt
- name: ETCD_KEY
  value: /etc/crontab/etcd-tls/tls.key
{{- end }}
{{- end }}
{{- if $etcd.auth.existingSecret }}
- name: ETCD_USER
  value: {{ $etcd.auth.username | quote }}
- name: ETCD_PASSWORD_FILE
  value: /etc/crontab/etcd-password/password
{{- end }}
{{- end -}}

{{- define "crontab.etcd.mounts" -}}
{{- if .Values.etcd.tls.existingSecret }}
- name: etcd-tls
  mountPath: /etc/crontab/etcd-tls
  readOnly: true
{{- end }}
{{- if .Values.etcd.auth.existingSecret }}
- name: etcd-password
  mountPath: /etc/crontab/etcd-password
  readOnly: true
{{- end }}
{{- end -}}

{{- define "crontab.etcd.volumes" -}}
{{- with .Values.etcd.tls.existingSecret }}
- name: etcd-tls
  secret:
    secretName: {{ . }}
    defaultMode: 0440
{{- end }}
{{- with .Values.etcd.auth.existingSecret }}
- name: etcd-password
  secret:
    secretName: {{ . }}
    defaultMode: 0440
{{- end }}
{{- end -}}

{{/* Where the run log is, as an environment variable. */}}
{{- define "crontab.mongodb.env" -}}
- name: MONGODB_URI
  valueFrom:
    secretKeyRef:
      name: {{ default (printf "%s-mongodb" (include "crontab.fullname" .)) .Values.mongodb.existingSecret }}
      key: uri
{{- end -}}

{{- define "crontab.log.env" -}}
- name: LOG_FORMAT
  value: {{ .Values.log.format }}
- name: RUST_LOG
  value: {{ .Values.log.level | quote }}
{{- end -}}

{{/* Health of our programs, on the port called health. */}}
{{- define "crontab.probes" -}}
livenessProbe:
  httpGet: {path: /healthz, port: health}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  httpGet: {path: /readyz, port: health}
  periodSeconds: 5
  timeoutSeconds: 5
{{- end -}}

{{- define "crontab.pullSecrets" -}}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end -}}

{{- define "crontab.controllerImage" -}}
{{ .Values.image.registry }}/crontab-controller:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end -}}

{{/* What pods of controller and master have in common. It takes the root and the component's values. */}}
{{- define "crontab.placement" -}}
{{- with .values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end -}}

{{/* Pods that run nothing of others. */}}
{{- define "crontab.podSecurity" -}}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "crontab.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end -}}
