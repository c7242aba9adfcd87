{{- define "longhorn.namespace" -}}
{{ .Values.namespaceOverride | default .Release.Namespace }}
{{- end }}

{{- define "longhorn.labels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{/* An image's name, which nothing pulls. Call with a dict of root and name. */}}
{{- define "longhorn.image" -}}
{{- with .root.Values.global.imageRegistry }}{{ . }}/{{ end -}}
longhornio/{{ .name }}:{{ .root.Chart.AppVersion }}
{{- end }}

{{/* Where a component's pods may run and how important they are. Call with a dict of root and component. */}}
{{- define "longhorn.placement" -}}
{{- with .component.priorityClass }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- with .root.Values.global.imagePullSecrets }}
imagePullSecrets: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with concat (.root.Values.global.tolerations | default list) (.component.tolerations | default list) }}
tolerations: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with merge (dict) (.component.nodeSelector | default dict) (.root.Values.global.nodeSelector | default dict) }}
nodeSelector: {{ toYaml . | nindent 2 }}
{{- end }}
{{- end }}
