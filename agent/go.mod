module ha-iris/agent

go 1.26.0
